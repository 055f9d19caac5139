//! `{tenant}` and `{var.NAME}` in the strings of sources and sinks, and nothing more.
//!
//! What is put in is not looked at again. Braces around anything that is not a name (`{2}`, `{"a":1}`) stay as they are.

use std::collections::BTreeMap;

/// What may be put in.
pub(super) struct Values<'a> {
    pub(super) tenant: &'a str,
    pub(super) vars: &'a BTreeMap<String, String>,
}

impl Values<'_> {
    /// The text with its placeholders replaced.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            match name(after) {
                None => {
                    filled.push('{');
                    rest = after;
                }
                Some((name, after)) => {
                    filled.push_str(self.value(name)?);
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, name: &str) -> Result<&str, String> {
        let var = match name.split_once('.') {
            None if name == "tenant" => return Ok(self.tenant),
            Some(("var", var)) => var,
            _ => return Err(format!("unknown placeholder {{{name}}}; accepted: {}", self.accepted())),
        };
        self.vars.get(var).map(String::as_str).ok_or_else(|| {
            format!(
                "tenant {} has no [var] {var}, which {{{name}}} asks for; accepted: {}",
                self.tenant,
                self.accepted()
            )
        })
    }

    fn accepted(&self) -> String {
        let mut accepted = "{tenant}".to_owned();
        for var in self.vars.keys() {
            accepted.push_str(", {var.");
            accepted.push_str(var);
            accepted.push('}');
        }
        if self.vars.is_empty() {
            accepted.push_str(", {var.NAME} with NAME in [var]");
        }
        accepted
    }
}

/// The name behind an opening brace and what follows the closing one, if this is a placeholder.
fn name(after: &str) -> Option<(&str, &str)> {
    let (inner, rest) = after.split_once('}')?;
    let name = inner.trim();
    let looks = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    // `{ tenant }` is as unknown as `{tenat}`: there is one way to write it.
    looks.then_some((inner, rest))
}

/// Whether a text has something in it that `fill` would replace or refuse.
pub(super) fn has_any(text: &str) -> bool {
    text.match_indices('{').any(|(at, _)| text.get(at + 1..).and_then(name).is_some())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let vars = BTreeMap::from([("host".to_owned(), "acme.example.com".to_owned())]);
        Values { tenant: "acme", vars: &vars }.fill(text)
    }

    #[test]
    fn the_two_placeholders_are_replaced() {
        assert_eq!(fill("https://{var.host}/{tenant}/x").unwrap(), "https://acme.example.com/acme/x");
    }

    #[test]
    fn braces_that_name_nothing_stay() {
        for text in ["a{2}", "{}", r#"{"a":1}"#, "{", "}{", "{tenant", "{{2}}", "ü{é}"] {
            assert_eq!(fill(text).unwrap(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for text in ["{tenat}", "{ tenant }", "{var.hots}", "{var}", "{env.HOME}", "{var.}", "x{{tenat}}"] {
            let error = fill(text).unwrap_err();
            assert!(error.ends_with("accepted: {tenant}, {var.host}"), "{error}");
        }
    }
}
