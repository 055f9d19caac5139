//! `ocsf` (1.8.0) and `ocsf_1_9` (a preview of 1.9.0): Open Cybersecurity Schema Framework.
//!
//! An event becomes a document of the class that its kind asks for, where it has all that the class requires; else of the
//! nearest class that it can be a document of. What the class has no place for stands under `unmapped`.

mod countries;
mod form;
mod objects;
mod observables;
mod result;
mod table;
mod unmapped;
mod words;

use super::writer::Copied;
use super::{Context, Marks, Rendered, Schema, Writer};
use crate::event::{Activity, Event, Kind, Mfa, Outcome, Risk, Session, Span, TargetKind, Transaction};
use crate::json::{Text, write_string};
use crate::source::{Names, NormalizeError};
use form::Subject;
use observables::Observables;
use std::cell::Cell;
use table::{Form, OTHER, Version};
use unmapped::Told;

pub(super) struct Ocsf(Version);

pub(super) const V1_8: Ocsf = Ocsf(Version::V1_8);
pub(super) const V1_9: Ocsf = Ocsf(Version::V1_9);

thread_local! {
    /// Memory for what was copied, used again for each document.
    static COPIED: Cell<Copied> = const { Cell::new(Copied::new()) };
}

impl Schema for Ocsf {
    fn name(&self) -> &'static str {
        match self.0 {
            Version::V1_8 => "ocsf",
            Version::V1_9 => "ocsf_1_9",
        }
    }

    fn sourcetype(&self, _: &Event<'_>, _: &'static Names, _: bool) -> &'static str {
        "tidegate:ocsf"
    }

    fn write<'e>(
        &self,
        event: &'e Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'e>,
    ) -> Result<Rendered, NormalizeError> {
        let raw = event.record.map(|record| record.record()).unwrap_or_default();
        out.begin(raw);
        out.remember(COPIED.take().of(raw.len()));
        let open = out.open("");
        let form = Form::of(event, self.0);
        let mut document = Document {
            out,
            event,
            context,
            version: self.0,
            form,
            subject: Subject::of(event, form),
            profiles: Profiles::default(),
            observables: Observables::new(),
            told: Told::default(),
        };
        document.all();
        let Document { profiles, told, .. } = document;
        // The metadata tell what was cut, so they come after everything; what they copy is known beforehand.
        for text in
            [&event.id, &event.written, &event.organization, &event.kind.action, &event.transaction.id]
        {
            out.mark(text.as_ref());
        }
        let copied = out.copied().unwrap_or_default();
        unmapped::unmapped(out, event, &copied, told);
        COPIED.with(|kept| kept.set(copied));
        metadata(out, event, context, self.0, profiles);
        if context.original && !raw.is_empty() {
            out.put(",\"raw_data\":");
            write_string(raw, out.buf);
            out.put(",\"raw_data_size\":");
            out.number(i64::try_from(raw.len()).unwrap_or(i64::MAX));
        }
        out.close(open);
        Ok(Rendered { drift: out.drift, cut: out.cut })
    }
}

/// The profiles whose attributes a document has.
#[derive(Clone, Copy, Debug, Default)]
struct Profiles {
    ai_operation: bool,
    host: bool,
    security_control: bool,
}

struct Document<'w, 'b, 'e, 'r> {
    out: &'w mut Writer<'b>,
    event: &'e Event<'r>,
    context: &'e Context<'e>,
    version: Version,
    form: Form,
    subject: Subject<'e, 'r>,
    profiles: Profiles,
    observables: Observables<'e, 'r>,
    told: Told,
}

impl<'r> Document<'_, '_, '_, 'r> {
    fn all(&mut self) {
        // Every field has been decided on: here, in `objects`, or in the metadata.
        let Event {
            id: _,
            time,
            written,
            span: _,
            kind,
            outcome,
            message: _,
            severity: _,
            actor: _,
            targets: _,
            source: _,
            agent: _,
            session: _,
            transaction: _,
            mfa: _,
            risk: _,
            device: _,
            app: _,
            changes: _,
            record: _,
            part: _,
            log: _,
            // In the metadata.
            organization: _,
            table: _,
        } = self.event;
        self.out.put(",\"time\":");
        match time {
            Some(time) => self.out.number(time.timestamp_millis()),
            None => self.context.fetched.write_millis(self.out.buf),
        }
        if let Some(minutes) = written.as_ref().map_or(Some(0), |written| written.read(offset)) {
            self.out.put(",\"timezone_offset\":");
            self.out.number(minutes);
        }
        self.class(kind);
        self.severity();
        self.outcome(outcome);
        self.message();
        match self.form {
            Form::Base => {}
            Form::Finding => self.finding(),
            Form::Account => {
                self.user();
                self.factors();
            }
            Form::Authentication => self.authentication(),
            Form::AuthorizeSession => {
                self.user();
                self.session(",\"session\":");
                self.privileges();
                self.groups();
            }
            Form::Entity => self.entity(),
            Form::Access => {
                self.user();
                self.privileges();
                self.resources(&[TargetKind::App]);
            }
            Form::Group => {
                self.groups();
                self.members();
                self.privileges();
            }
            Form::Api => {
                self.api();
                self.resources(&[]);
            }
            Form::File => self.file(),
        }
        self.result();
        self.actor();
        if !matches!(self.form, Form::Base | Form::Finding) {
            self.endpoint(",\"src_endpoint\":", &observables::ORIGIN);
            self.http_request(",\"http_request\":", &observables::ORIGIN);
        }
        self.device();
        self.control();
        self.observables.write(self.out);
    }

    fn class(&mut self, kind: &Kind<'r>) {
        // ECS says the rest.
        let Kind { action, class: _, activity: _, categories: _, types: _, alert: _ } = kind;
        let class = self.version.class(self.form);
        let id = self.version.activity(self.form, self.event);
        match class.activities.iter().find(|(other, ..)| *other == id) {
            Some((_, _, head)) => self.out.put(head),
            None => {
                debug_assert_eq!(id, OTHER);
                self.out.put(class.other);
                self.out.text(",\"activity_name\":", action);
            }
        }
    }

    fn severity(&mut self) {
        self.enumerated(words::severity(self.event.gravity()), None, "");
    }

    fn outcome(&mut self, outcome: &Outcome<'r>) {
        let Outcome { result, word, reason, detail, code } = outcome;
        let (mut id, mut fallback) = words::status(*result);
        let mut known = true;
        if self.form == Form::Finding {
            // How an attempt ended says nothing of how far somebody has looked into it.
            let looked = word.as_ref().and_then(|word| word.read(words::finding_status));
            known = looked.is_some();
            id = looked.unwrap_or(match self.event.kind.activity {
                Activity::Close => words::RESOLVED,
                _ => words::NEW,
            });
        } else if id.number == 0 && word.as_ref().is_some_and(|word| !is_unknown(word)) {
            id = words::OTHER_STATUS;
            fallback = "Undefined";
        }
        self.enumerated(id, word.as_ref(), fallback);
        if known && id.caption.is_some() {
            self.out.mark(word.as_ref());
        }
        self.out.text(",\"status_code\":", code);
        match (reason, detail) {
            (Some(first), Some(second)) => {
                self.out.put(",\"status_detail\":");
                self.joined([first, second].into_iter(), " ");
                self.out.mark(Some(first));
            }
            _ => self.out.text(",\"status_detail\":", if reason.is_some() { reason } else { detail }),
        }
    }

    /// The vendor's sentence, or who did what.
    fn message(&mut self) {
        let Event { message, kind, .. } = self.event;
        if message.is_some() {
            self.out.text(",\"message\":", message);
        } else if let Some(action) = &kind.action {
            let actor = self.event.actor.account.shown();
            self.out.put(",\"message\":");
            self.joined([action].into_iter().chain(actor), " by ");
        }
    }

    /// An id and beside it its caption, or the vendor's word.
    fn enumerated(&mut self, id: words::Id, word: Option<&Text<'r>>, fallback: &'static str) {
        self.out.put(id.members);
        match (id.caption, word) {
            (None, Some(word)) => self.out.string(word),
            (None, None) => self.out.caption(fallback),
            (Some(caption), word) => {
                if let Some(slice) = word.and_then(Text::source) {
                    self.out.note_at(self.out.len().wrapping_sub(caption.len()), slice);
                }
            }
        }
    }

    /// Texts as one.
    fn joined<'t>(&mut self, texts: impl Iterator<Item = &'t Text<'r>>, between: &str)
    where
        'r: 't,
    {
        self.out.put("\"");
        for (at, text) in texts.enumerate() {
            if at > 0 {
                self.out.put(between);
            }
            text.write_within(self.out.buf);
        }
        self.out.put("\"");
    }

    fn authentication(&mut self) {
        let Event { mfa, session, outcome: _, kind, .. } = self.event;
        let Mfa {
            factor: _,
            others: _,
            device: _,
            word: _,
            method: _,
            performed,
            deed: _,
            answer: _,
            intent: _,
            fatigue: _,
            phishing_resistant: _,
        } = mfa;
        let Session { id: _, root: _, issuer: _, protocol, background } = session;
        self.user();
        self.service();
        if self.is_own() {
            self.session(",\"session\":");
        }
        if let Some(performed) = performed {
            self.out.put(",\"is_mfa\":");
            self.out.boolean(*performed);
        }
        self.factors();
        if let Some(word) = protocol
            && !is_unknown(word)
        {
            self.enumerated(word.read(words::protocol), Some(word), "");
        }
        // A directory in the cloud knows no other.
        self.out.put(",\"is_remote\":true");
        match kind.activity {
            Activity::Logoff => {}
            Activity::Switch => {
                self.out.put(",\"account_switch_type_id\":2,\"account_switch_type\":\"Impersonate\"");
            }
            _ => {
                self.enumerated(words::logon(background.is_some()), background.as_ref(), "");
            }
        }
    }

    /// Decision, policies and risk.
    fn control(&mut self) {
        let Event { outcome, targets, risk, kind, .. } = self.event;
        let Risk { level, word, reasons, behaviors, threat: _ } = risk;
        let before = self.out.len();
        if let Some(decision) = words::decision(outcome.result) {
            self.out.put(decision);
        }
        // What is changed decides nothing.
        let decides = self.form != Form::Entity;
        let policies = targets
            .iter()
            .filter(|target| decides && target.kind == TargetKind::Policy && target.account.is_user());
        let open = self.out.open(",\"authorizations\":");
        for policy in policies {
            self.out.put(",{\"policy\":");
            self.named(&policy.account);
            if words::decision(outcome.result).is_some() {
                self.out.text(",\"decision\":", &outcome.word);
            }
            self.out.put("}");
        }
        self.out.close_array(open);
        if kind.alert && self.form != Form::Finding {
            self.out.put(",\"is_alert\":true");
        }
        // A finding has these without the profile.
        let profile = self.out.len() > before;
        let before = self.out.len();
        if let Some(level) = level {
            self.enumerated(words::risk(*level), word.as_ref(), "");
            self.out.mark(word.as_ref());
        }
        if !reasons.is_empty() || !behaviors.is_empty() {
            self.out.put(",\"risk_details\":");
            self.joined(reasons.iter().chain(behaviors), ", ");
        }
        self.profiles.security_control |= profile || (self.form != Form::Finding && self.out.len() > before);
    }
}

/// Minutes from UTC, as the time was written; of a number, none.
fn offset(written: &str) -> Option<i64> {
    match written.as_bytes() {
        [.., b'Z' | b'z'] => Some(0),
        [.., sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let two = |tens: u8, ones: u8| {
                let digit = |letter: u8| letter.is_ascii_digit().then(|| i64::from(letter - b'0'));
                Some(digit(tens)? * 10 + digit(ones)?)
            };
            let minutes = two(*h1, *h2)? * 60 + two(*m1, *m2)?;
            Some(if *sign == b'-' { -minutes } else { minutes })
        }
        digits => digits.iter().all(u8::is_ascii_digit).then_some(0),
    }
}

/// Where the document comes from.
fn metadata(
    out: &mut Writer<'_>,
    event: &Event<'_>,
    context: &Context<'_>,
    version: Version,
    profiles: Profiles,
) {
    let Context {
        tenant,
        organisation,
        namespace: _,
        names,
        fetched,
        ingested,
        id,
        original,
        as_sent: _,
        marks,
    } = context;
    out.put(",\"metadata\":{\"version\":\"");
    out.put(version.number());
    out.put("\",\"product\":{\"name\":\"");
    out.put(names.product);
    out.put("\",\"vendor_name\":\"");
    out.put(names.vendor);
    out.put("\"},\"log_name\":\"");
    out.put(names.dataset);
    out.put("\",\"log_provider\":\"");
    out.put(names.product);
    out.put("\",\"tenant_uid\":");
    // The vendor's name for it, where it is known; ours then stands among the tags.
    let theirs = match (&event.organization, organisation) {
        (Some(organization), _) => {
            out.string(organization);
            true
        }
        (None, Some(organisation)) => {
            out.plain(organisation);
            true
        }
        (None, None) => {
            out.plain(tenant);
            false
        }
    };
    if let Some(id) = id {
        out.put(",\"uid\":");
        out.plain(id);
    }
    out.text(",\"original_event_uid\":", &event.id);
    out.text(",\"event_code\":", &event.kind.action);
    out.text(",\"original_time\":", &event.written);
    let Transaction { id: transaction, word: _, path: _ } = &event.transaction;
    out.text(",\"correlation_uid\":", transaction);
    out.put(",\"logged_time\":");
    fetched.write_millis(out.buf);
    out.put(",\"processed_time\":");
    ingested.write_millis(out.buf);
    let Span { began: _, ended: _, changed } = event.span;
    if let Some(changed) = changed {
        out.put(",\"modified_time\":");
        out.number(changed.timestamp_millis());
    }
    let Profiles { ai_operation, host, security_control } = profiles;
    if ai_operation || host || security_control {
        let used = [(ai_operation, "ai_operation"), (host, "host"), (security_control, "security_control")];
        let used = used.into_iter().filter(|(used, _)| *used).map(|(_, name)| name);
        super::ecs::words(out, ",\"profiles\":", used);
    }
    let Marks { late_seconds, revises, replay, reread } = marks;
    let marked = late_seconds.is_some() || revises.is_some() || replay.is_some() || *reread;
    if marked || event.time.is_none() || out.cut > 0 || *original {
        labels(out, event, context);
    }
    let tags = out.open(",\"tags\":");
    if let Some(seconds) = late_seconds {
        out.put(",{\"name\":\"tidegate_late_seconds\",\"value\":\"");
        out.number(i64::try_from(*seconds).unwrap_or(i64::MAX));
        out.put("\"}");
    }
    let ours = theirs.then_some(*tenant);
    for (label, value) in [
        (",{\"name\":\"tidegate_tenant\",\"value\":", &ours),
        (",{\"name\":\"tidegate_revises\",\"value\":", revises),
        (",{\"name\":\"tidegate_replay\",\"value\":", replay),
    ] {
        if let Some(value) = value {
            out.put(label);
            out.plain(value);
            out.put("}");
        }
    }
    out.close_array(tags);
    out.put("}");
}

/// What we have to say of it, which of most documents is nothing.
#[cold]
fn labels(out: &mut Writer<'_>, event: &Event<'_>, context: &Context<'_>) {
    let Marks { late_seconds, revises, replay, reread } = &context.marks;
    let labels = [
        (event.time.is_none(), "time_missing"),
        (late_seconds.is_some(), "tidegate_late"),
        (revises.is_some(), "tidegate_revision"),
        (replay.is_some(), "tidegate_replay"),
        (*reread, "reread"),
        (out.cut > 0, "tidegate_cut"),
        (context.original && event.record.is_some(), "preserve_original_event"),
    ];
    super::ecs::words(
        out,
        ",\"labels\":",
        labels.into_iter().filter(|(said, _)| *said).map(|(_, word)| word),
    );
}

/// The vendor's word for knowing nothing, as OCSF has it too.
fn is_unknown(word: &Text<'_>) -> bool {
    word.read(|word| word.eq_ignore_ascii_case("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_far_a_time_is_from_utc() {
        assert_eq!(offset("2026-01-15T10:00:00.123Z"), Some(0));
        assert_eq!(offset("1768471200"), Some(0));
        assert_eq!(offset("2026-01-15T10:00:00+05:30"), Some(330));
        assert_eq!(offset("2026-01-15T10:00:00-08:00"), Some(-480));
        assert_eq!(offset("2026-01-15 10:00"), None);
        for zone in ["+1:230", "++1:30", "+0:+00", "-10:-9", "+0530", "+05:3", "+05.30"] {
            assert_eq!(offset(&format!("2026-01-15T10:00:00{zone}")), None, "{zone}");
        }
        assert_eq!(offset("ü+1:00"), None);
    }
}
