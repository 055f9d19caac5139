//! `leef`: Log Event Extended Format 2.0, the line that QRadar reads. A line has no end of its own; the sink frames it.
//!
//! `LEEF:2.0|Vendor|Product|1.0|EventID|x09|` and attributes `key=value`, separated by tabs: first the keys that QRadar
//! knows, then ours by weight, so that a sink with a bound for a line leaves out what stands last. LEEF has no escapes:
//! control characters in a value become blanks, in the header pipes too. A value that says nothing is left out.
//!
//! [`fit`] makes a line that is too long for its way shorter, by whole attributes first.
//!
//! A line is no archive: the vendor's own fields are in it only where the event has their meaning. Delivered beside it,
//! `raw`, `ecs` or `ocsf` keep the rest.

use super::{Context, Marks, Rendered, Schema, Writer};
use crate::event::{
    Account, Actor, ActorKind, Agent, App, Change, Class, Device, Ending, Event, Geo, Kind, Mfa, Network,
    Outcome, Risk, RiskLevel, Session, Target, TargetKind, Transaction,
};
use crate::json::{Text, any, decoded};
use crate::source::{Names, NormalizeError};
use std::ops::Range;
use wide::u8x16;

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

    fn sourcetype(&self, _: &Event<'_>, _: &'static Names, _: bool) -> &'static str {
        "tidegate:leef"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn write<'e>(
        &self,
        event: &'e Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'e>,
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
            // Of the vendor's own words, this has no key.
            log: _,
            organization,
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
        // The time is always there; before what follows stands a tab.
        out.put("|x09|devTime=");
        match time {
            Some(time) => out.number(time.timestamp_millis()),
            None => fetched.write_millis(out.buf),
        }
        let mut line = Line { out };
        line.word(key!("cat"), category(event));
        line.number(key!("sev"), i64::from(severity(event)));
        let Network { ip, address: _, via, port, geo, as_number, as_organization, isp: _, domain: _, proxy } =
            source;
        line.text(key!("src"), ip.as_ref());
        if let Some(port) = port {
            line.number(key!("srcPort"), i64::from(*port));
        }
        let Actor { kind: actor_kind, word: actor_word, account, on_behalf_of, groups: _ } = actor;
        // An address is `src`, and nobody's name.
        if *actor_kind != ActorKind::Address {
            line.user(key!("usrName"), account);
        }
        let Account { id: actor_id, name: _, email: _, full_name, domain } = account;
        let target = targets.iter().find(|target| target.kind == TargetKind::User);
        if let Some(target) = target {
            line.user(key!("accountName"), &target.account);
        }
        line.text(key!("domain"), domain.as_ref());
        line.plain(key!("realm"), tenant);
        line.target(key!("policy"), targets, TargetKind::Policy);
        let App { id: app_id, name: app_name } = app;
        line.text(key!("resource"), app_name.as_ref().or(app_id.as_ref()));
        line.target(key!("role"), targets, TargetKind::Role);
        line.target(key!("groupID"), targets, TargetKind::Group);
        let Transaction { id: correlation, word: _, path } = transaction;
        line.text(key!("url"), path.as_ref());

        line.text(key!("eventUid"), id.as_ref());
        line.word(key!("outcome"), ending(*result));
        line.text(key!("outcomeWord"), word.as_ref());
        line.text(key!("reason"), reason.as_ref());
        line.text(key!("reasonCode"), code.as_ref());
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
        line.word(key!("factor"), factor.map(|factor| factor.name()));
        line.text(key!("factorWord"), factor_word.as_ref());
        line.text(key!("mfaMethod"), method.as_ref());
        line.word(key!("mfaAnswer"), answer.map(|answer| answer.name()));
        line.word(key!("mfaDeed"), deed.map(|deed| deed.name()));
        line.truth(key!("isMfa"), *performed);
        line.text(key!("mfaIntent"), intent.as_ref());
        line.truth(key!("mfaFatigue"), fatigue.then_some(true));
        line.truth(key!("phishingResistant"), *phishing_resistant);
        line.word(key!("actorType"), actor_kind_name(*actor_kind));
        line.text(key!("actorWord"), actor_word.as_ref());
        line.text(key!("actorId"), actor_id.as_ref());
        line.text(key!("actorName"), full_name.as_ref());
        line.user(key!("onBehalfOf"), on_behalf_of);
        if let Some(Target { kind: _, word, account }) = target.or(targets.first()) {
            line.text(key!("targetType"), word.as_ref());
            line.text(key!("targetId"), account.id.as_ref());
            line.text(key!("targetName"), account.full_name.as_ref().or(account.name.as_ref()));
        }
        line.text(key!("appId"), app_id.as_ref());
        let Session { id: session_id, root, issuer, protocol, background: _ } = session;
        line.text(key!("sessionId"), session_id.as_ref());
        line.text(key!("rootSessionId"), root.as_ref());
        line.text(key!("authProtocol"), protocol.as_ref());
        line.text(key!("idp"), issuer.as_ref());
        line.text(key!("correlationId"), correlation.as_ref());
        match (organization, organisation) {
            (Some(_), _) => line.text(key!("organisation"), organization.as_ref()),
            (None, Some(organisation)) => line.plain(key!("organisation"), organisation),
            (None, None) => {}
        }
        let Risk { level, word: risk_word, reasons, behaviors, threat } = risk;
        line.text(key!("riskLevel"), risk_word.as_ref());
        if risk_word.is_none() {
            line.word(key!("riskLevel"), level.map(risk_level));
        }
        line.truth(key!("threatSuspected"), *threat);
        let Device { id: device_id, name, os, os_version, managed, word: device_word } = device;
        line.text(key!("deviceName"), name.as_ref());
        line.text(key!("deviceId"), device_id.as_ref());
        line.text(key!("deviceOs"), os.as_ref());
        line.text(key!("deviceOsVersion"), os_version.as_ref());
        line.truth(key!("deviceManaged"), *managed);
        line.text(key!("deviceType"), device_word.as_ref());
        let Geo { city, region, country, country_code, postal: _, location: _, partial: _ } = geo;
        line.text(key!("country"), country_code.as_ref().or(country.as_ref()));
        line.text(key!("city"), city.as_ref());
        line.text(key!("region"), region.as_ref());
        if let Some(number) = as_number {
            line.number(key!("asn"), *number);
        }
        line.text(key!("asOrg"), as_organization.as_ref());
        line.truth(key!("isProxy"), *proxy);
        let Marks { late_seconds, revises, replay, reread } = marks;
        if let Some(seconds) = late_seconds {
            line.number(key!("lateSeconds"), i64::try_from(*seconds).unwrap_or(i64::MAX));
        }
        if let Some(revises) = revises {
            line.plain(key!("revises"), revises);
            if let Some(document) = document {
                line.plain(key!("documentId"), document);
            }
        }
        if let Some(replay) = replay {
            line.plain(key!("replay"), replay);
        }
        line.truth(key!("reread"), reread.then_some(true));
        line.list(key!("riskReasons"), reasons);
        line.list(key!("riskBehaviors"), behaviors);
        line.list(key!("xff"), via);
        line.changes(changes);
        let Agent { original, browser, version: _, os } = agent;
        line.text(key!("userAgent"), original.as_ref());
        line.text(key!("browser"), browser.as_ref());
        line.text(key!("clientOs"), os.as_ref());
        line.text(key!("message"), message.as_ref());
        Ok(Rendered { drift: 0, cut: out.cut })
    }
}

/// Says of a line that something was left out.
pub const TRUNCATED: &str = "truncated=true";
/// What a line can do without, first to last: the record's own text and the client's, details of risk, names for people,
/// places. Behind these go all other keys of ours, the last of a line first.
const SPARE: [&[&str]; 4] = [
    &["message", "userAgent", "browser", "clientOs", "changes"],
    &["riskReasons", "riskBehaviors", "threatSuspected", "riskLevel"],
    &["actorName", "targetName", "deviceName", "organisation"],
    &["xff", "asOrg", "asn", "isProxy", "region", "city", "country"],
];
/// The keys that QRadar itself knows; whole ones go last, where cutting values was not enough.
const KNOWN: [&str; 14] = [
    "devTime",
    "cat",
    "sev",
    "src",
    "srcPort",
    "usrName",
    "accountName",
    "domain",
    "realm",
    "policy",
    "resource",
    "role",
    "groupID",
    "url",
];
/// A part of these would be another value, not a shorter one.
const WHOLE: [&str; 7] = ["devTime", "cat", "sev", "src", "srcPort", "eventUid", "documentId"];
/// Without these a repeated event cannot be told, so they are left out after every other.
const IDS: [&str; 2] = ["documentId", "eventUid"];
/// No value is cut to fewer bytes.
const SHORT: usize = 32;

/// Makes a line of this schema at most `most` bytes long, and says so in it ([`TRUNCATED`]): attributes go whole in a
/// fixed order, then the longest values lose their ends (never inside a character), then what else there is goes from
/// the end. The seven parts of the header stay as they are. `false`: the header alone is too long; the line is as it was.
#[must_use]
pub fn fit(line: &mut String, most: usize) -> bool {
    if line.len() <= most {
        return true;
    }
    let Some((header, attributes)) = header_end(line).and_then(|at| line.split_at_checked(at)) else {
        return false;
    };
    let Some(room) = most.checked_sub(header.len() + TRUNCATED.len()) else { return false };
    let mut kept = Pairs::new(attributes);
    for key in SPARE.concat() {
        kept.leave_out_while(room, |name| name == key);
    }
    kept.leave_out_while(room, |name| !KNOWN.contains(&name) && !IDS.contains(&name));
    kept.shorten(room);
    // The time stays to the last; an id may be longer than everything else together.
    kept.leave_out_while(room, |name| name != "devTime" && !IDS.contains(&name));
    kept.leave_out_while(room, |name| name != "devTime");
    kept.leave_out_while(room, |_| true);
    let mut out = String::with_capacity(most);
    out.push_str(header);
    for (key, value) in kept.pairs {
        out.push_str(key);
        out.push('=');
        out.push_str(value);
        out.push('\t');
    }
    out.push_str(TRUNCATED);
    *line = out;
    true
}

/// Attributes that are left, and their length: each with its `=` and the tab behind it.
struct Pairs<'l> {
    pairs: Vec<(&'l str, &'l str)>,
    length: usize,
}

impl<'l> Pairs<'l> {
    fn new(attributes: &'l str) -> Self {
        let pairs: Vec<_> = attributes.split('\t').filter_map(|pair| pair.split_once('=')).collect();
        let length = pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        Self { pairs, length }
    }

    /// Leaves out what is named, from the end, until the rest has room.
    fn leave_out_while(&mut self, room: usize, named: impl Fn(&str) -> bool) {
        while self.length > room {
            let Some(at) = self.pairs.iter().rposition(|(key, _)| named(key)) else { return };
            let (key, value) = self.pairs.remove(at);
            self.length -= key.len() + value.len() + 2;
        }
    }

    /// Takes from the end of the longest value, until all have room.
    fn shorten(&mut self, room: usize) {
        while self.length > room {
            let long =
                self.pairs.iter_mut().filter(|(key, value)| !WHOLE.contains(key) && value.len() > SHORT);
            let Some((_, value)) = long.max_by_key(|(_, value)| value.len()) else { return };
            let mut end = value.len().saturating_sub(self.length - room).max(SHORT);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            let (kept, gone) = value.split_at_checked(end).unwrap_or((value, ""));
            self.length -= gone.len();
            *value = kept;
        }
    }
}

/// Where the attributes of a line begin: behind the sixth pipe.
fn header_end(line: &str) -> Option<usize> {
    line.starts_with("LEEF:2.0|").then(|| line.match_indices('|').nth(5).map(|(at, _)| at + 1)).flatten()
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
    if text.len() <= most && is_clean(text, header) {
        return out.put(text);
    }
    // What would be nothing but blanks at either end says nothing.
    let text = text.trim_matches(|letter: char| blank(letter) || (header && letter == '|'));
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.cut += u32::from(end < text.len());
    let mut rest = text.get(..end).unwrap_or_default();
    while let Some(at) = rest.find(|letter: char| breaks(letter) || (header && letter == '|')) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.put(before);
        out.put(" ");
        rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    out.put(rest);
}

/// Whether it stands in a line as it is, as most do: with a visible letter at either end, and none that is cleaned away.
fn is_clean(text: &str, header: bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_graphic)
        && bytes.last().is_some_and(u8::is_ascii_graphic)
        && !any(bytes, |bytes| {
            // The controls beyond ASCII begin with C2, the line ends with E2.
            let pipe = if header { bytes.simd_eq(b'|') } else { u8x16::ZERO };
            bytes.simd_lt(b' ') | bytes.simd_eq(0x7F) | bytes.simd_eq(0xC2) | bytes.simd_eq(0xE2) | pipe
        })
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
    text.first_visible().is_some() || decoded(text, |text| !text.chars().all(blank))
}

/// The same in the header, which has no pipes.
fn says_in_header(text: &Text<'_>) -> bool {
    text.first_visible().is_some_and(|letter| letter != b'|')
        || decoded(text, |text| !text.chars().all(|letter| blank(letter) || letter == '|'))
}

/// What stands before a value that is not the first.
macro_rules! key {
    ($key:literal) => {
        concat!("\t", $key, "=")
    };
}
use key;

/// The attributes of a line, behind the first one; each with its [`key!`].
struct Line<'w, 'b> {
    out: &'w mut Writer<'b>,
}

impl Line<'_, '_> {
    fn text(&mut self, key: &'static str, text: Option<&Text<'_>>) {
        if let Some(text) = text.filter(|text| says(text)) {
            self.out.put(key);
            clean(self.out, text, VALUE, false);
        }
    }

    fn plain(&mut self, key: &'static str, text: &str) {
        self.out.put(key);
        cleaned(self.out, text, VALUE, false);
    }

    fn word(&mut self, key: &'static str, word: impl Into<Option<&'static str>>) {
        if let Some(word) = word.into() {
            self.out.put(key);
            self.out.put(word);
        }
    }

    fn number(&mut self, key: &'static str, number: i64) {
        self.out.put(key);
        self.out.number(number);
    }

    fn truth(&mut self, key: &'static str, truth: Option<bool>) {
        self.word(key, truth.map(|truth| if truth { "true" } else { "false" }));
    }

    /// The name under which a person is known everywhere: the address, or the login with its domain.
    fn user(&mut self, key: &'static str, account: &Account<'_>) {
        let Account { id, name, email, full_name: _, domain } = account;
        if let Some(name) = email.as_ref().or(name.as_ref()).or(id.as_ref()).filter(|name| says(name)) {
            self.out.put(key);
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
                    self.out.put(key);
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
        for (nth, Change { name, from, to, of: _ }) in changes.iter().enumerate() {
            if nth == CHANGES {
                self.out.cut += 1;
                return;
            }
            if nth == 0 {
                self.out.put(key!("changes"));
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
        line_of(event, None)
    }

    /// Of a source whose table names this organisation.
    fn line_of(event: &Event<'_>, organisation: Option<&str>) -> (String, Rendered) {
        let context = Context {
            tenant: "acme",
            namespace: "default",
            names: &NAMES,
            fetched: DateTime::UNIX_EPOCH.into(),
            ingested: DateTime::UNIX_EPOCH.into(),
            organisation,
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
    fn the_organisation_is_the_events_or_else_the_sources() {
        let own = Event { organization: text("of the record"), ..Event::default() };
        let said = |event: &Event<'_>, source| {
            let (line, _) = line_of(event, source);
            let (_, attributes) = parsed(&line);
            let all: Vec<_> = attributes.iter().filter(|(key, _)| *key == "organisation").collect();
            assert!(all.len() <= 1, "{line}");
            all.first().map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(said(&own, Some("of the source")).as_deref(), Some("of the record"));
        assert_eq!(said(&own, None).as_deref(), Some("of the record"));
        assert_eq!(said(&Event::default(), Some("of the source")).as_deref(), Some("of the source"));
        assert_eq!(said(&Event::default(), None), None);
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

    proptest! {
        /// Short ways lead where the long ones do.
        #[test]
        fn what_needs_no_cleaning_is_told_at_a_glance(
            text in "[ -~\u{1}\u{7f}\u{85}\u{a0}é中\u{2028}]{0,3}([a-z|]{0,20}|.{0,3})[ -~\u{9}\u{85}\u{2029}é]{0,2}",
            header: bool,
        ) {
            let pipe = |letter: char| header && letter == '|';
            let odd = |letter: char| breaks(letter) || pipe(letter);
            let ends = text.trim_matches(|letter: char| blank(letter) || pipe(letter));
            if is_clean(&text, header) {
                prop_assert!(ends == text && !text.is_empty() && !text.contains(odd), "{text:?}");
            } else if text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.is_empty() {
                prop_assert!(text.contains(odd), "{text:?}");
            }
            let thoroughly = !text.chars().all(|letter| blank(letter) || pipe(letter));
            // As records have it, and as few do.
            let plainly = serde_json::to_string(&text).unwrap();
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let record = format!("[{plainly},\"{escaped}\"]");
            let mut tape = crate::json::Tape::new();
            let written = tape.cut(record.as_bytes()).unwrap().elements().filter_map(|value| value.as_text());
            for form in written.chain([Text::owned(text.as_str()), Text::piece(&text)]) {
                let told = if header { says_in_header(&form) } else { says(&form) };
                prop_assert_eq!(told, thoroughly, "{:?}", text);
            }
        }
    }

    /// An event in which every text may be of any length.
    fn long(texts: &[String]) -> Event<'static> {
        let at = |n: usize| texts.get(n % texts.len()).map(|text| Text::owned(text.as_str()));
        let target = |kind: TargetKind, n: usize| Target {
            kind,
            word: at(n),
            account: Account { name: at(n + 1), ..Account::default() },
        };
        Event {
            id: at(0),
            message: at(1),
            kind: Kind { action: at(2), class: Class::Authentication, ..Kind::default() },
            actor: Actor {
                kind: ActorKind::User,
                account: Account {
                    name: at(3),
                    email: at(4),
                    full_name: at(5),
                    domain: at(6),
                    ..Account::default()
                },
                ..Actor::default()
            },
            agent: Agent { original: at(7), ..Agent::default() },
            risk: Risk { reasons: vec![at(8).unwrap(), at(9).unwrap()].into(), ..Risk::default() },
            app: App { name: at(10), ..App::default() },
            targets: vec![target(TargetKind::Policy, 11), target(TargetKind::Role, 13)].into(),
            source: Network {
                ip: text("2001:db8::1"),
                via: vec![at(15).unwrap()].into(),
                ..Network::default()
            },
            ..Event::default()
        }
    }

    proptest! {
        #[test]
        fn a_line_of_any_event_fits_into_any_bound_with_whole_keys_and_its_seven_header_parts(
            texts in proptest::collection::vec("\\PC{0,400}", 16),
            most in 300_usize..5_000,
        ) {
            let (whole, _) = line(&long(&texts));
            let mut cut = whole.clone();
            let fits = fit(&mut cut, most);
            let (header, before) = parsed(&whole);
            if !fits {
                let head = header.iter().map(|part| part.len() + 1).sum::<usize>();
                prop_assert!(head + TRUNCATED.len() > most, "it would have fitted");
                prop_assert_eq!(cut, whole);
                return Ok(());
            }
            prop_assert!(cut.len() <= most, "{} bytes of {most}", cut.len());
            let (same, mut after) = parsed(&cut);
            prop_assert_eq!(same, header, "the header is as it was");
            if whole.len() > most {
                prop_assert_eq!(after.pop(), Some(("truncated", "true")));
            } else {
                prop_assert_eq!(&cut, &whole, "what fits is left alone");
            }
            let mut rest = before.iter();
            for (key, value) in after {
                let (_, was) = rest.find(|(known, _)| *known == key).expect("keys stay whole and in order");
                prop_assert!(was.starts_with(value), "{key}");
                prop_assert!(*was == value || !WHOLE.contains(&key), "a part of {key} is another {key}");
            }
        }
    }

    #[test]
    fn what_says_least_goes_first_and_ids_stay_when_names_and_places_are_gone() {
        let has = |line: &str, key: &str| parsed(line).1.iter().any(|(known, _)| *known == key);
        let n = "n".repeat(100);
        let whole = format!(
            "LEEF:2.0|Okta|Okta|1.0|user.session.start|x09|devTime=1\tusrName=kim\teventUid=e-1\tfactor={n}\t\
             actorName={n}\tcity={n}\triskReasons={n}\tuserAgent={n}\tmessage={n}",
        );
        let steps = ["message", "userAgent", "riskReasons", "actorName", "city", "factor"];
        let mut most = whole.len() - 1;
        for (n, gone) in steps.iter().enumerate() {
            let mut line = whole.clone();
            assert!(fit(&mut line, most), "{most}");
            assert!(!has(&line, gone) && has(&line, "eventUid") && has(&line, "usrName"), "{line}");
            for kept in steps.iter().skip(n + 1) {
                assert!(has(&line, kept), "{kept} went before {gone}: {line}");
            }
            most = line.len() - 1;
        }
    }

    #[test]
    fn long_values_are_cut_between_characters_when_only_known_keys_are_left() {
        let smile = '\u{1F600}';
        let role = smile.to_string().repeat(200);
        let mut line = format!(
            "LEEF:2.0|Okta|Okta|1.0|x|x09|devTime=1\tusrName=kim\trole={role}\teventUid=e-1\tfactor=push"
        );
        assert!(fit(&mut line, 300));
        let (_, attributes) = parsed(&line);
        let (_, role) = attributes.iter().find(|(key, _)| *key == "role").unwrap();
        assert!(!role.is_empty() && role.chars().all(|letter| letter == smile), "{role}");
        assert!(line.len() > 296 && line.len() <= 300, "no more is lost than must be: {}", line.len());
        assert_eq!(attributes.last(), Some(&("truncated", "true")));
        assert!(attributes.contains(&("eventUid", "e-1")), "{line}");
    }

    #[test]
    fn a_header_that_is_too_long_is_never_cut() {
        let id = "x".repeat(255);
        let whole = format!("LEEF:2.0|Okta|Okta|1.0|{id}|x09|devTime=1\tmessage={id}");
        let mut line = whole.clone();
        assert!(!fit(&mut line, 270));
        assert_eq!(line, whole);
    }
}
