//! The program on the user's side.

use crate::json::Text;

/// Bytes of a version; what is longer is none.
const LONGEST: usize = 64;

/// The program on the user's side.
#[derive(Clone, Debug, Default)]
pub struct Agent<'r> {
    /// The whole `User-Agent`.
    pub original: Option<Text<'r>>,
    /// The vendor's word for the browser.
    pub browser: Option<Text<'r>>,
    /// Its version.
    pub version: Option<Text<'r>>,
    /// The vendor's word for the operating system.
    pub os: Option<Text<'r>>,
}

/// What a `User-Agent` names, each in letters, digits, blanks and `-`, `_`, `.` alone. Only what its text says in so many words;
/// nothing is guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Product<'a> {
    /// The browser or library.
    pub name: Option<&'a str>,
    /// Its version.
    pub version: Option<&'a str>,
    /// The operating system.
    pub os: Option<&'a str>,
    /// Its version; dots where the text has underscores.
    pub os_version: Option<&'a str>,
    /// The device.
    pub device: Option<&'a str>,
}

impl<'a> Product<'a> {
    /// Reads a `User-Agent`.
    #[must_use]
    pub fn read(agent: &'a str) -> Self {
        let mut product = Self::default();
        let Some(rest) = agent.strip_prefix("Mozilla/5.0 (") else {
            // `curl/8.5.0`, `python-requests/2.31`, `okhttp/4.9`: the first token names the program.
            if let Some((name, rest)) = agent.split_once('/')
                && (1..=64).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            {
                product.name = Some(name);
                product.version = version(rest);
            }
            return product;
        };
        let end = memchr::memchr(b')', rest.as_bytes()).unwrap_or(rest.len());
        let (platform, rest) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
        product.platform(platform);
        let mut last = None;
        let mut safari = None;
        // `Name/1.2.3`, with blanks between them. No byte is looked at twice, however many slashes there are.
        let (mut token, mut seen) = (0, 0);
        for slash in memchr::memchr_iter(b'/', rest.as_bytes()) {
            let since = rest.as_bytes().get(seen..slash).unwrap_or_default();
            if let Some(blank) = since.iter().rposition(|byte| *byte == b' ') {
                token = seen + blank + 1;
            }
            seen = slash;
            let (Some(name), Some(value)) = (rest.get(token..slash), rest.get(slash + 1..)) else { continue };
            let name = match name {
                "Chrome" => "Chrome",
                "Firefox" => "Firefox",
                "HeadlessChrome" => "HeadlessChrome",
                "CriOS" => "Chrome Mobile iOS",
                "FxiOS" => "Firefox iOS",
                "Edg" | "EdgA" | "EdgiOS" | "Edge" => "Edge",
                "OPR" => "Opera",
                "Version" => {
                    safari = version(value);
                    continue;
                }
                "Safari" if last.is_none() => {
                    last = Some(("Safari", safari));
                    continue;
                }
                _ => continue,
            };
            last = Some((name, version(value)));
        }
        if let Some((name, version)) = last {
            product.name = Some(name);
            product.version = version;
        }
        product
    }

    fn platform(&mut self, platform: &'a str) {
        let mut rest = Some(platform);
        while let Some(now) = rest {
            let end = memchr::memchr(b';', now.as_bytes()).unwrap_or(now.len());
            let part = now.get(..end).unwrap_or_default();
            rest = now.get(end + 1..).map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
            // Most parts say nothing; the first letter tells.
            match part.as_bytes().first() {
                Some(b'W') => {
                    if let Some(nt) = part.strip_prefix("Windows NT ") {
                        self.os = Some("Windows");
                        self.os_version = match nt {
                            "10.0" => Some("10"),
                            "6.3" => Some("8.1"),
                            "6.2" => Some("8"),
                            "6.1" => Some("7"),
                            other => version(other),
                        };
                    }
                }
                Some(b'I') => {
                    if let Some(mac) = part.strip_prefix("Intel Mac OS X ") {
                        self.os = Some("Mac OS X");
                        self.os_version = version(mac);
                        self.device = Some("Mac");
                    }
                }
                Some(b'A') => {
                    if let Some(android) = part.strip_prefix("Android ") {
                        self.os = Some("Android");
                        self.os_version = version(android);
                    }
                }
                Some(b'C') => {
                    let phone = part.strip_prefix("CPU iPhone OS ");
                    if let Some(ios) = phone.or_else(|| part.strip_prefix("CPU OS ")) {
                        self.os = Some("iOS");
                        self.os_version = ios.split(' ').next().and_then(version);
                    } else if part.starts_with("CrOS") {
                        self.os = Some("Chrome OS");
                    }
                }
                Some(b'i') if part == "iPhone" || part == "iPad" => self.device = Some(part),
                Some(b'L') if part.starts_with("Linux") && self.os.is_none() => self.os = Some("Linux"),
                _ => {}
            }
        }
    }
}

/// The version at the beginning: digits with dots or underscores.
fn version(text: &str) -> Option<&str> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit() && byte != b'.' && byte != b'_')
        .unwrap_or(text.len());
    text.get(..end).filter(|version| {
        version.len() <= LONGEST && version.starts_with(|first: char| first.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::Product;

    #[test]
    fn reads_what_the_text_says_in_so_many_words() {
        let read = |agent| {
            let Product { name, version, os, os_version, device } = Product::read(agent);
            [name, version, os, os_version, device].map(Option::unwrap_or_default)
        };
        assert_eq!(
            read(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36 Edg/127.0.1"
            ),
            ["Edge", "127.0.1", "Windows", "10", ""]
        );
        assert_eq!(
            read(
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.1 Safari/605.1.15"
            ),
            ["Safari", "16.1", "Mac OS X", "10_15_7", "Mac"]
        );
        assert_eq!(
            read(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1"
            ),
            ["Chrome Mobile iOS", "120.0", "iOS", "17_2", "iPhone"]
        );
        assert_eq!(
            read("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"),
            ["Firefox", "130.0", "Linux", "", ""]
        );
        assert_eq!(read("python-requests/2.31.0"), ["python-requests", "2.31.0", "", "", ""]);
        for odd in
            ["", "/", "Mozilla/5.0 (", "com.example.app/1.0 macOS/13", "unknown", "Mozilla/5.0 (X11) Chrome/"]
        {
            let _ = read(odd);
        }
        assert_eq!(read("com.example.app/1.0 macOS/13"), ["", "", "", "", ""]);
        // A reader that went back to the last blank at each of them would take minutes.
        let slashes = format!("Mozilla/5.0 (X11) {} Chrome/1.2", "/".repeat(4 << 20));
        assert_eq!(read(&slashes), ["Chrome", "1.2", "", "", ""]);
        let long = "1".repeat(40_000);
        let library = format!("curl/{long}");
        assert_eq!(read(&library), ["curl", "", "", "", ""]);
        let agent = format!("Mozilla/5.0 (Windows NT {long}) Chrome/{long}");
        assert_eq!(read(&agent), ["Chrome", "", "Windows", "", ""]);
    }
}
