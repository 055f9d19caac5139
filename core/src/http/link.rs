//! `Link` headers (RFC 8288), and links that may be followed.

use crate::fault::{Fault, FaultKind};
use http::HeaderMap;
use url::Url;

/// The target of the first link with this relation, byte for byte. Several header lines and one line merged with
/// commas read the same; commas and semicolons inside angle brackets or quotes belong to their text.
#[must_use]
pub fn find(headers: &HeaderMap, relation: &str) -> Option<String> {
    headers
        .get_all(http::header::LINK)
        .iter()
        .filter_map(|line| std::str::from_utf8(line.as_bytes()).ok())
        .find_map(|line| find_in_line(line, relation))
}

fn find_in_line(line: &str, relation: &str) -> Option<String> {
    let mut rest = line;
    loop {
        // Angle brackets first: nothing inside them separates.
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (rel, after) = parameters(after);
        if rel.is_some_and(|rel| rel.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(relation))) {
            return Some(target.to_owned());
        }
        rest = after;
    }
}

/// Reads `; name=value` pairs up to the comma that ends the link. Returns the first `rel` and what follows the comma.
fn parameters(text: &str) -> (Option<String>, &str) {
    let mut rel = None;
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            return (rel, after);
        }
        let Some(after) = rest.strip_prefix(';') else { return (rel, rest) };
        let after = after.trim_start();
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let (name, after) = after.split_at_checked(end).unwrap_or((after, ""));
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => (String::new(), after),
        };
        if rel.is_none() && name.trim_end().eq_ignore_ascii_case("rel") {
            rel = Some(value);
        }
        rest = after;
    }
}

fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end).unwrap_or((text, ""));
        return (value.trim_end().to_owned(), after);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (value, chars.as_str())
}

/// The link as an absolute URL, if it stays at the origin (scheme, host, port) of `base`. Anything that two parsers
/// could read differently (backslashes, control characters, a user before the host) is refused, not repaired.
///
/// # Errors
/// [`FaultKind::ForeignLink`], naming both origins and no path or query.
pub fn same_origin(base: &Url, link: &str) -> Result<Url, Fault> {
    let foreign = |what: String| Fault::new(FaultKind::ForeignLink, what);
    if link.chars().any(|c| c.is_control() || c == '\\') {
        return Err(foreign("the link holds characters that no URL has".to_owned()));
    }
    let url = base.join(link).map_err(|error| foreign(format!("the link is no URL: {error}")))?;
    if url.origin() != base.origin() || !url.origin().is_tuple() {
        let origin = url.origin().ascii_serialization();
        return Err(foreign(format!(
            "the link leads to {origin}, away from {}",
            base.origin().ascii_serialization()
        ))
        .remedy(format!("if {origin} is the organisation's own address, make it the source's `url`")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(foreign("the link names a user before its host".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("link", HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn reads_two_lines_and_one_merged_line_alike() {
        let me = r#"<https://acme.example.com/api/v1/logs?limit=1>; rel="self""#;
        let next =
            r#"<https://acme.example.com/api/v1/logs?after=1,2;3&filter=a%20eq%20%22b%22>; rel="next""#;
        let want = "https://acme.example.com/api/v1/logs?after=1,2;3&filter=a%20eq%20%22b%22";
        assert_eq!(find(&headers(&[me, next]), "next").unwrap(), want);
        assert_eq!(find(&headers(&[&format!("{me}, {next}")]), "next").unwrap(), want);
        assert_eq!(find(&headers(&[&format!("{next},{me}")]), "next").unwrap(), want);
    }

    #[test]
    fn commas_in_brackets_and_quotes_do_not_separate() {
        let line = r#"<https://a.example.com/?q="x>; title="a, <https://evil.example.com/>; rel=\"next\"", <https://a.example.com/2>; rel=next"#;
        assert_eq!(find(&headers(&[line]), "next").unwrap(), "https://a.example.com/2");
    }

    #[test]
    fn relations_are_a_list_without_case_and_only_the_first_counts() {
        let found = |line: &str| find(&headers(&[line]), "next");
        assert_eq!(found("</a>; rel=\"last NEXT\"").unwrap(), "/a");
        assert_eq!(found("</a>;REL=Next").unwrap(), "/a");
        assert_eq!(found("</a> ; type=x ; rel = next").unwrap(), "/a");
        assert_eq!(found("</a>; rel=self; rel=next"), None);
        assert_eq!(found("</a>; rel=nextish"), None);
        assert_eq!(found("</a>; rel"), None);
        assert_eq!(found("</a>"), None);
        assert_eq!(found("</a; rel=next"), None);
        assert_eq!(found("</a>; anchor=\"x"), None);
        assert_eq!(find(&HeaderMap::new(), "next"), None);
    }

    #[test]
    fn only_the_configured_origin_is_followed() {
        let base = Url::parse("https://acme.example.com").unwrap();
        for good in ["https://acme.example.com/x?y=1", "https://ACME.example.com:443/x", "/x", "?after=1"] {
            assert!(same_origin(&base, good).is_ok(), "{good}");
        }
        for bad in [
            "https://evil.example.net/x?token=hidden",
            "http://acme.example.com/x?token=hidden",
            "https://acme.example.com:8443/x",
            "https://acme.example.com@evil.example.net/?token=hidden",
            "https://evil.example.net\\@acme.example.com/",
            "https://user:pass@acme.example.com/",
            "//evil.example.net/x",
            "https://acme.example.com.evil.example.net/",
            "https://acme.example.com\t.evil.example.net/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://",
        ] {
            let fault = same_origin(&base, bad).unwrap_err();
            assert_eq!(fault.kind, FaultKind::ForeignLink, "{bad}");
            assert!(!format!("{fault:?}").contains("hidden"), "{fault:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(line in "[ -~]{0,80}") {
            let _found = find(&headers(&[&line]), "next");
        }

        #[test]
        fn any_link_is_judged_without_a_panic(link in ".{0,60}") {
            let base = Url::parse("https://acme.example.com").unwrap();
            if let Ok(url) = same_origin(&base, &link) {
                prop_assert_eq!(url.host_str(), Some("acme.example.com"));
                prop_assert_eq!(url.scheme(), "https");
            }
        }
    }
}
