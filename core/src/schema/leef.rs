//! `leef`: Log Event Extended Format 2.0, the line that QRadar reads. A line has no end of its own; the sink frames it.
//!
//! `LEEF:2.0|Vendor|Product|1.0|EventID|x09|` and attributes `key=value`, separated by tabs: first the keys that QRadar
//! knows, then ours by weight, so that a sink with a bound for a line leaves out what stands last. LEEF has no escapes:
//! control characters in a value become blanks, in the header pipes too. A value that says nothing is left out.
//!
//! A line is no archive: the vendor's own fields are in it only where the event has their meaning. Delivered beside it,
//! `raw`, `ecs` or `ocsf` keep the rest.

use super::{Context, Marks, Rendered, Schema, Writer};
use crate::event::{
    Account, Actor, ActorKind, Agent, App, Change, Class, Device, Ending, Event, Geo, Kind, Mfa, Network,
    Outcome, Risk, RiskLevel, Session, Target, TargetKind, Transaction,
};
use crate::json::{Text, decoded};
use crate::source::NormalizeError;
use std::ops::Range;

/// Of our mapping: what a release changes in the keys below counts it up.
const VERSION: &str = "1.0";
/// `EventID`, `usrName` and the other names that QRadar stores take no more characters (IBM's LEEF guide).
const NAME: usize = 255;
/// Bytes of any other value: one attribute must not push all others out of a syslog line of 4,000 bytes.
const VALUE: usize = 1024;
/// Changed values that are named.
const CHANGES: usize = 8;

pub(super) struct Leef;

impl Schema for Leef {
    fn name(&self) -> &'static str {
        "leef"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn write(
        &self,
        event: &Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'_>,
    ) -> Result<Rendered, NormalizeError> {
        let Event {
            id,
            time,
            written: _,
            span: _,
            kind,
            outcome,
            message,
            severity: _,
            actor,
            targets,
            source,
            agent,
            session,
            transaction,
            mfa,
            risk,
            device,
            app,
            changes,
            record,
            part: _,
            // Of the vendor's own words, these have no key.
            log: _,
            organization: _,
            table,
        } = event;
        let Context {
            tenant,
            namespace: _,
            names,
            fetched,
            ingested: _,
            id: document,
            original: _,
            as_sent: _,
            marks,
            organisation,
        } = context;
        out.begin(record.map(|record| record.record()).unwrap_or_default());
        let Kind { action, class, activity: _, categories: _, types: _, alert: _ } = kind;
        let Outcome { result, word, reason, detail: _, code } = outcome;

        header(out, names.leef);
        let id_at = out.len();
        match action.as_ref().filter(|action| says_in_header(action)) {
            Some(action) => clean(out, action, NAME, true),
            None => out.put("unknown"),
        }
        // One name for all sign-ins says nothing to QRadar's map of event ids; the code under it is as stable, and so is a
        // vendor's word for the end.
        let end = code.as_ref().or(word.as_ref().filter(|_| table.ends_in_id));
        if let (Class::Authentication, Some(end)) = (class, end.filter(|end| says_in_header(end))) {
            out.put("-");
            let left = NAME.saturating_sub(out.len() - id_at);
            clean(out, end, left, true);
        }
        out.put("|x09|");

        let mut line = Line { first: true, out };
        line.number("devTime", time.unwrap_or(*fetched).timestamp_millis());
        line.word("cat", category(event));
        line.number("sev", i64::from(severity(event)));
        let Network { ip, address: _, via, port, geo, as_number, as_organization, isp: _, domain: _, proxy } =
            source;
        line.text("src", ip.as_ref());
        if let Some(port) = port {
            line.number("srcPort", i64::from(*port));
        }
        let Actor { kind: actor_kind, word: actor_word, account, on_behalf_of, groups: _ } = actor;
        // An address is `src`, and nobody's name.
        if *actor_kind != ActorKind::Address {
            line.user("usrName", account);
        }
        let Account { id: actor_id, name: _, email: _, full_name, domain } = account;
        let target = targets.iter().find(|target| target.kind == TargetKind::User);
        if let Some(target) = target {
            line.user("accountName", &target.account);
        }
        line.text("domain", domain.as_ref());
        line.plain("realm", tenant);
        line.target("policy", targets, TargetKind::Policy);
        let App { id: app_id, name: app_name } = app;
        line.text("resource", app_name.as_ref().or(app_id.as_ref()));
        line.target("role", targets, TargetKind::Role);
        line.target("groupID", targets, TargetKind::Group);
        let Transaction { id: correlation, word: _, path } = transaction;
        line.text("url", path.as_ref());

        line.text("eventUid", id.as_ref());
        line.word("outcome", ending(*result));
        line.text("outcomeWord", word.as_ref());
        line.text("reason", reason.as_ref());
        line.text("reasonCode", code.as_ref());
        let Mfa {
            factor,
            word: factor_word,
            method,
            performed,
            deed,
            answer,
            intent,
            fatigue,
            phishing_resistant,
            device: _,
            others: _,
        } = mfa;
        line.word("factor", factor.map(|factor| factor.name()));
        line.text("factorWord", factor_word.as_ref());
        line.text("mfaMethod", method.as_ref());
        line.word("mfaAnswer", answer.map(|answer| answer.name()));
        line.word("mfaDeed", deed.map(|deed| deed.name()));
        line.truth("isMfa", *performed);
        line.text("mfaIntent", intent.as_ref());
        line.truth("mfaFatigue", fatigue.then_some(true));
        line.truth("phishingResistant", *phishing_resistant);
        line.word("actorType", actor_kind_name(*actor_kind));
        line.text("actorWord", actor_word.as_ref());
        line.text("actorId", actor_id.as_ref());
        line.text("actorName", full_name.as_ref());
        line.user("onBehalfOf", on_behalf_of);
        if let Some(Target { kind: _, word, account }) = target.or(targets.first()) {
            line.text("targetType", word.as_ref());
            line.text("targetId", account.id.as_ref());
            line.text("targetName", account.full_name.as_ref().or(account.name.as_ref()));
        }
        line.text("appId", app_id.as_ref());
        let Session { id: session_id, root, issuer, protocol, background: _ } = session;
        line.text("sessionId", session_id.as_ref());
        line.text("rootSessionId", root.as_ref());
        line.text("authProtocol", protocol.as_ref());
        line.text("idp", issuer.as_ref());
        line.text("correlationId", correlation.as_ref());
        if let Some(organisation) = organisation {
            line.plain("organisation", organisation);
        }
        let Risk { level, word: risk_word, reasons, behaviors, threat } = risk;
        line.text("riskLevel", risk_word.as_ref());
        if risk_word.is_none() {
            line.word("riskLevel", level.map(risk_level));
        }
        line.truth("threatSuspected", *threat);
        let Device { id: device_id, name, os, os_version, managed, word: device_word } = device;
        line.text("deviceName", name.as_ref());
        line.text("deviceId", device_id.as_ref());
        line.text("deviceOs", os.as_ref());
        line.text("deviceOsVersion", os_version.as_ref());
        line.truth("deviceManaged", *managed);
        line.text("deviceType", device_word.as_ref());
        let Geo { city, region, country, country_code, postal: _, location: _ } = geo;
        line.text("country", country_code.as_ref().or(country.as_ref()));
        line.text("city", city.as_ref());
        line.text("region", region.as_ref());
        if let Some(number) = as_number {
            line.number("asn", *number);
        }
        line.text("asOrg", as_organization.as_ref());
        line.truth("isProxy", *proxy);
        let Marks { late_seconds, revises, replay, reread } = marks;
        if let Some(seconds) = late_seconds {
            line.number("lateSeconds", i64::try_from(*seconds).unwrap_or(i64::MAX));
        }
        if let Some(revises) = revises {
            line.plain("revises", revises);
            if let Some(document) = document {
                line.plain("documentId", document);
            }
        }
        if let Some(replay) = replay {
            line.plain("replay", replay);
        }
        line.truth("reread", reread.then_some(true));
        line.list("riskReasons", reasons);
        line.list("riskBehaviors", behaviors);
        line.list("xff", via);
        line.changes(changes);
        let Agent { original, browser, version: _, os } = agent;
        line.text("userAgent", original.as_ref());
        line.text("browser", browser.as_ref());
        line.text("clientOs", os.as_ref());
        line.text("message", message.as_ref());
        Ok(Rendered { drift: 0, cut: out.cut })
    }
}

/// The parts of a line, for a person: the event id and the attributes, and where the value of each stands.
pub(super) fn attributes(line: &[u8]) -> impl Iterator<Item = (String, String, Range<usize>)> {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let at = |part: &str| (part.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
    let mut parts = line.splitn(7, '|');
    let id = parts.nth(4).map(|id| ("EventID", id));
    let pairs = parts.nth(1).unwrap_or_default().split('\t').filter_map(|pair| pair.split_once('='));
    id.into_iter().chain(pairs).map(move |(key, value)| {
        let from = at(value);
        (key.to_owned(), value.to_owned(), from..from + value.len())
    })
}

fn header(out: &mut Writer<'_>, (vendor, product): (&str, &str)) {
    for part in ["LEEF:2.0", vendor, product, VERSION] {
        out.put(part);
        out.put("|");
    }
}

/// What QRadar's map of event ids knows beside the id itself.
fn category(event: &Event<'_>) -> &'static str {
    if event.kind.alert {
        return "risk";
    }
    match event.kind.class {
        Class::Account | Class::Entity if event.mfa.deed.is_some() => "mfa",
        Class::Authentication if event.mfa.factor.is_some() && event.mfa.answer.is_some() => "mfa",
        Class::Authentication | Class::AuthorizeSession => "authentication",
        Class::Account | Class::Group | Class::Access => "iam",
        Class::Entity => "configuration",
        Class::Api => "api",
        Class::File => "file",
        Class::Detection => "risk",
        Class::Other => "other",
    }
}

/// From 1 to 10: 2, 3, 5, 7 and 9 for the five steps.
fn severity(event: &Event<'_>) -> u8 {
    match event.gravity() {
        1 => 2,
        2 => 3,
        3 => 5,
        4 => 7,
        _ => 9,
    }
}

const fn ending(result: Ending) -> Option<&'static str> {
    match result {
        Ending::Success => Some("success"),
        Ending::Failure => Some("failure"),
        Ending::Allowed => Some("allowed"),
        Ending::Denied => Some("denied"),
        Ending::Challenge => Some("challenge"),
        Ending::Interrupted => Some("interrupted"),
        Ending::Pending => Some("pending"),
        Ending::Abandoned => Some("abandoned"),
        Ending::Limited => Some("limited"),
        Ending::Unknown => None,
    }
}

const fn actor_kind_name(kind: ActorKind) -> Option<&'static str> {
    match kind {
        ActorKind::User => Some("user"),
        ActorKind::Service => Some("service"),
        ActorKind::Agent => Some("agent"),
        ActorKind::System => Some("system"),
        ActorKind::Address => Some("address"),
        ActorKind::Unknown => None,
    }
}

const fn risk_level(level: RiskLevel) -> &'static str {
    match level {
        RiskLevel::None => "none",
        RiskLevel::Low => "low",
        RiskLevel::Medium => "medium",
        RiskLevel::High => "high",
        RiskLevel::Critical => "critical",
    }
}

/// Writes a text without what would end a value, in the header also without pipes; at most so many bytes.
fn clean(out: &mut Writer<'_>, text: &Text<'_>, most: usize, header: bool) {
    if let Some(slice) = text.source() {
        out.note(slice);
    }
    decoded(text, |text| cleaned(out, text, most, header));
}

fn cleaned(out: &mut Writer<'_>, text: &str, most: usize, header: bool) {
    // What would be nothing but blanks at either end says nothing.
    let text = text.trim_matches(|letter: char| blank(letter) || (header && letter == '|'));
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.cut += u32::from(end < text.len());
    let mut rest = text.get(..end).unwrap_or_default();
    // Most values have nothing to clean.
    while let Some(at) = rest.find(|letter: char| breaks(letter) || (header && letter == '|')) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.put(before);
        out.put(" ");
        rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    out.put(rest);
}

/// Ends a line or an attribute for some reader: controls of both sets, and Unicode's own line ends.
fn breaks(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

fn blank(letter: char) -> bool {
    letter.is_whitespace() || breaks(letter)
}

/// Whether something would be left of it.
fn says(text: &Text<'_>) -> bool {
    decoded(text, |text| !text.chars().all(blank))
}

/// The same in the header, which has no pipes.
fn says_in_header(text: &Text<'_>) -> bool {
    decoded(text, |text| !text.chars().all(|letter| blank(letter) || letter == '|'))
}

/// The attributes of a line.
struct Line<'w, 'b> {
    first: bool,
    out: &'w mut Writer<'b>,
}

impl Line<'_, '_> {
    fn key(&mut self, key: &'static str) {
        if !self.first {
            self.out.put("\t");
        }
        self.first = false;
        self.out.put(key);
        self.out.put("=");
    }

    fn text(&mut self, key: &'static str, text: Option<&Text<'_>>) {
        if let Some(text) = text.filter(|text| says(text)) {
            self.key(key);
            clean(self.out, text, VALUE, false);
        }
    }

    fn plain(&mut self, key: &'static str, text: &str) {
        self.key(key);
        cleaned(self.out, text, VALUE, false);
    }

    fn word(&mut self, key: &'static str, word: impl Into<Option<&'static str>>) {
        if let Some(word) = word.into() {
            self.key(key);
            self.out.put(word);
        }
    }

    fn number(&mut self, key: &'static str, number: i64) {
        self.key(key);
        self.out.number(number);
    }

    fn truth(&mut self, key: &'static str, truth: Option<bool>) {
        self.word(key, truth.map(|truth| if truth { "true" } else { "false" }));
    }

    /// The name under which a person is known everywhere: the address, or the login with its domain.
    fn user(&mut self, key: &'static str, account: &Account<'_>) {
        let Account { id, name, email, full_name: _, domain } = account;
        if let Some(name) = email.as_ref().or(name.as_ref()).or(id.as_ref()).filter(|name| says(name)) {
            self.key(key);
            let from = self.out.len();
            clean(self.out, name, NAME, false);
            let whole = email.is_some() || self.out.buf.get(from..).is_some_and(|name| name.contains(&b'@'));
            let room = NAME.saturating_sub(self.out.len() - from + 1);
            if let (Some(domain), Some(_), false) = (domain, &account.name, whole) {
                self.out.put("@");
                clean(self.out, domain, room, false);
            }
        }
    }

    fn target(&mut self, key: &'static str, targets: &[Target<'_>], kind: TargetKind) {
        let found = targets.iter().filter(|target| target.kind == kind);
        let mut names = found.filter_map(|target| {
            let Account { id, name, full_name, .. } = &target.account;
            full_name.as_ref().or(name.as_ref()).or(id.as_ref())
        });
        self.several(key, &mut names);
    }

    fn list(&mut self, key: &'static str, texts: &[Text<'_>]) {
        self.several(key, &mut texts.iter());
    }

    /// A key stands once in a line: several values are one, with semicolons.
    fn several<'t, 'r: 't>(&mut self, key: &'static str, texts: &mut dyn Iterator<Item = &'t Text<'r>>) {
        let mut from = None;
        for text in texts.filter(|text| says(text)) {
            match from {
                None => {
                    self.key(key);
                    from = Some(self.out.len());
                }
                Some(from) if self.out.len() - from >= VALUE => {
                    self.out.cut += 1;
                    return;
                }
                Some(_) => self.out.put(";"),
            }
            clean(self.out, text, NAME, false);
        }
    }

    /// `name: before → after`, the first few.
    fn changes(&mut self, changes: &[Change<'_>]) {
        for (nth, Change { name, from, to }) in changes.iter().enumerate() {
            if nth == CHANGES {
                self.out.cut += 1;
                return;
            }
            if nth == 0 {
                self.key("changes");
            } else {
                self.out.put(";");
            }
            clean(self.out, name, NAME, false);
            self.out.put(":");
            for (arrow, value) in [("", from), ("->", to)] {
                self.out.put(arrow);
                if let Some(value) = value {
                    clean(self.out, value, NAME, false);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::testkit::sink::NAMES;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn line(event: &Event<'_>) -> (String, Rendered) {
        let context = Context {
            tenant: "acme",
            namespace: "default",
            names: &NAMES,
            fetched: DateTime::UNIX_EPOCH,
            ingested: DateTime::UNIX_EPOCH,
            organisation: None,
            id: None,
            original: false,
            as_sent: false,
            marks: Marks::default(),
        };
        let mut out = Vec::new();
        let rendered = Leef.render(event, &context, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), rendered)
    }

    /// As a reader takes a line apart: seven header parts, then attributes.
    fn parsed(line: &str) -> (Vec<&str>, Vec<(&str, &str)>) {
        let mut parts: Vec<&str> = line.splitn(7, '|').collect();
        let attributes = parts.pop().unwrap();
        (parts, attributes.split('\t').map(|pair| pair.split_once('=').unwrap()).collect())
    }

    fn text(word: &str) -> Option<Text<'static>> {
        Some(Text::owned(word))
    }

    #[test]
    fn a_sign_in_is_a_line_with_its_delimiter_named_and_the_known_keys_first() {
        let event = Event {
            id: text("e1"),
            time: DateTime::from_timestamp_millis(1_780_000_000_123),
            kind: Kind {
                action: text("user.session.start"),
                class: Class::Authentication,
                ..Kind::default()
            },
            outcome: Outcome { result: Ending::Failure, code: text("50126"), ..Outcome::default() },
            source: Network { ip: text("192.0.2.7"), port: Some(443), ..Network::default() },
            actor: Actor {
                account: Account { name: text("jo"), domain: text("example.com"), ..Account::default() },
                ..Actor::default()
            },
            ..Event::default()
        };
        assert_eq!(
            line(&event).0,
            format!(
                "LEEF:2.0|{}|{}|1.0|user.session.start-50126|x09|devTime=1780000000123\tcat=authentication\tsev=3\t\
                 src=192.0.2.7\tsrcPort=443\tusrName=jo@example.com\tdomain=example.com\trealm=acme\teventUid=e1\t\
                 outcome=failure\treasonCode=50126",
                NAMES.leef.0, NAMES.leef.1
            )
        );
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_character_and_counted() {
        let event = Event { message: text(&"ü".repeat(1 << 20)), ..Event::default() };
        let (line, rendered) = line(&event);
        assert!(line.len() < 1200 && line.ends_with('ü'), "{}", line.len());
        assert_eq!(rendered.cut, 1);
    }

    #[test]
    fn an_event_id_of_controls_is_none() {
        for (action, want) in [("\u{0}\u{2028} |", "unknown"), ("a|b\u{0}", "a b")] {
            let kind = Kind { action: text(action), class: Class::Authentication, ..Kind::default() };
            let outcome = Outcome { code: text("\u{1}"), ..Outcome::default() };
            let (line, _) = line(&Event { kind, outcome, ..Event::default() });
            let (header, _) = parsed(&line);
            assert_eq!(header.get(4), Some(&want), "{line}");
        }
    }

    #[test]
    fn a_user_name_with_its_domain_is_no_longer_than_its_column() {
        let account =
            Account { name: text(&"n".repeat(200)), domain: text(&"d".repeat(200)), ..Account::default() };
        let (line, rendered) =
            line(&Event { actor: Actor { account, ..Actor::default() }, ..Event::default() });
        let (_, attributes) = parsed(&line);
        let name = attributes.iter().find(|(key, _)| *key == "usrName").unwrap().1;
        assert_eq!((name.len(), rendered.cut), (255, 1));
    }

    #[test]
    fn what_says_nothing_has_no_key() {
        let event = Event { message: text("\t \u{0}"), ..Event::default() };
        assert!(!line(&event).0.contains("message="), "{}", line(&event).0);
    }

    proptest! {
        #[test]
        fn no_value_can_add_an_attribute_a_line_or_a_header_part(
            action in ".{0,40}|[|\t\n=\u{0}\u{85}\u{2028}]{1,9}", user in ".{0,40}|[|\t\n=\\^]{1,9}",
            reason in "(?s).{0,300}", via in proptest::collection::vec("[a-z|\t;=\r\n]{0,12}", 0..40)
        ) {
            let event = Event {
                kind: Kind { action: text(&action), ..Kind::default() },
                actor: Actor { account: Account { name: text(&user), ..Account::default() }, ..Actor::default() },
                outcome: Outcome { reason: text(&reason), ..Outcome::default() },
                source: Network { via: via.iter().map(|via| Text::owned(via.as_str())).collect(), ..Network::default() },
                ..Event::default()
            };
            let (line, _) = line(&event);
            prop_assert!(!line.chars().any(|letter| breaks(letter) && letter != '\t'));
            let (header, attributes) = parsed(&line);
            prop_assert_eq!(header.last(), Some(&"x09"));
            let mut keys: Vec<_> = attributes.iter().map(|(key, _)| *key).collect();
            prop_assert!(keys.iter().all(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{:?}", keys);
            keys.sort_unstable();
            prop_assert!(keys.windows(2).all(|pair| pair.first() != pair.last()), "{:?}", keys);
        }
    }
}
