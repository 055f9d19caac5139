//! The program on the user's side.

use crate::json::Text;

/// The program on the user's side.
#[derive(Clone, Debug, Default)]
pub struct Agent<'r> {
    /// The whole `User-Agent`.
    pub original: Option<Text<'r>>,
    /// The vendor's word for the browser.
    pub browser: Option<Text<'r>>,
    /// The vendor's word for the operating system.
    pub os: Option<Text<'r>>,
}

/// What a `User-Agent` names. Only what its text says in so many words; nothing is guessed.
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
                && name.len() <= 64
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            {
                let name = Some(name).filter(|name| !name.is_empty());
                product.version = name.and(version(rest));
                product.name = name;
            }
            return product;
        };
        let (platform, rest) = rest.split_once(')').unwrap_or((rest, ""));
        product.platform(platform);
        let mut last = None;
        let mut safari = None;
        for token in rest.as_bytes().split(|byte| *byte == b' ') {
            // Most tokens say nothing; the first letter tells.
            let Some(b'C' | b'E' | b'F' | b'H' | b'O' | b'S' | b'V') = token.first() else { continue };
            let Ok(token) = std::str::from_utf8(token) else { continue };
            let Some((name, value)) = token.split_once('/') else { continue };
            let name = match name {
                "Chrome" | "HeadlessChrome" | "Firefox" => name,
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
        for part in platform.split("; ") {
            if let Some(nt) = part.strip_prefix("Windows NT ") {
                self.os = Some("Windows");
                self.os_version = Some(match nt {
                    "10.0" => "10",
                    "6.3" => "8.1",
                    "6.2" => "8",
                    "6.1" => "7",
                    other => other,
                });
            } else if let Some(mac) = part.strip_prefix("Intel Mac OS X ") {
                self.os = Some("Mac OS X");
                self.os_version = version(mac);
                self.device = Some("Mac");
            } else if let Some(android) = part.strip_prefix("Android ") {
                self.os = Some("Android");
                self.os_version = version(android);
            } else if let Some(ios) = part.strip_prefix("CPU iPhone OS ").or(part.strip_prefix("CPU OS ")) {
                self.os = Some("iOS");
                self.os_version = ios.split(' ').next().and_then(version);
            } else if part == "iPhone" || part == "iPad" {
                self.device = Some(part);
            } else if part.starts_with("Linux") && self.os.is_none() {
                self.os = Some("Linux");
            } else if part.starts_with("CrOS") {
                self.os = Some("Chrome OS");
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
    text.get(..end).filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}
