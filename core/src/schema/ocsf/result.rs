//! What a change has made of a user, a group or an object, as far as the record says it: `user_result` and `entity_result`, in
//! 1.9.0 `updated_user`, `updated_entity` and `updated_group`.

use super::Document;
use super::form::first;
use super::table::{Form, Version};
use super::words;
use crate::event::{Account, Activity, Change, Ending, Target, TargetKind};
use crate::json::{Kind, Text, Value, inside};
use crate::schema::namespace::NAME;

/// Changes that are looked at; what is beyond stands among what is unmapped, as all do.
const MOST: usize = 64;

/// Vendors' names for what has an attribute of its own, in any case.
const LOGIN: &[&str] = &["login", "userName", "userPrincipalName"];
const EMAIL: &[&str] = &["email", "mail"];
const TITLE: &[&str] = &["displayName", "name", "label"];

impl<'e, 'r> Document<'_, '_, 'e, 'r> {
    /// Nothing where nothing is known to have changed, or where nothing is left of it.
    pub(super) fn result(&mut self) {
        let done = matches!(self.event.outcome.result, Ending::Success | Ending::Allowed | Ending::Unknown);
        if self.event.changes.is_empty() || !done || self.event.kind.activity == Activity::Delete {
            return;
        }
        match (self.form, self.version) {
            (Form::Account, Version::V1_8) => self.user_result(",\"user_result\":"),
            (Form::Account | Form::Access, Version::V1_9) => self.user_result(",\"updated_user\":"),
            (Form::Entity, Version::V1_8) => self.entity_result(",\"entity_result\":"),
            (Form::Entity, Version::V1_9) => self.entity_result(",\"updated_entity\":"),
            (Form::Group, Version::V1_9) => self.group_result(",\"updated_group\":"),
            _ => {}
        }
    }

    /// What was changed of an account, with what it is now.
    fn changed(
        &self,
        of: Option<&'e Account<'r>>,
    ) -> impl Iterator<Item = (&'e Change<'r>, &'e Text<'r>)> + use<'e, 'r> {
        let event = self.event;
        event.changes.iter().take(MOST).filter_map(move |change| {
            let its = match change.of {
                Some(at) => event.targets.get(at).zip(of).is_some_and(|(t, of)| std::ptr::eq(&t.account, of)),
                None => true,
            };
            Some((change, change.to.as_ref()?)).filter(|_| its)
        })
    }

    fn now(&self, of: Option<&'e Account<'r>>, names: &[&str]) -> Option<&'e Text<'r>> {
        let named = |change: &Change<'_>| {
            let name = change.name.as_plain().unwrap_or_default();
            names.iter().any(|known| name.eq_ignore_ascii_case(known))
        };
        let found = self.changed(of).find(|(change, _)| named(change))?;
        Some(found.1).filter(|to| !says(to, |said| matches!(said.trim(), "" | "null")))
    }

    fn user_result(&mut self, label: &str) {
        let Some((account, _)) = self.subject.user else { return };
        let of = Some(account);
        let (login, email, title) =
            (self.now(of, LOGIN), self.now(of, EMAIL), self.now(of, &["displayName"]));
        if login.is_none() && email.is_none() && title.is_none() {
            return;
        }
        let Account { id, name, email: address, full_name, domain } = account;
        let open = self.out.open(label);
        self.out.text(",\"uid\":", id);
        let renamed = login.is_some();
        self.new_or(",\"name\":", login, name.as_ref().or(account.shown().filter(|_| id.is_none())));
        let email = email.filter(|email| says(email, words::is_email));
        let address = address.as_ref().filter(|address| !renamed && address.read(words::is_email));
        self.new_or(",\"email_addr\":", email, address);
        self.new_or(",\"full_name\":", title, full_name.as_ref());
        if !renamed {
            self.out.text(",\"domain\":", domain);
        }
        self.out.close(open);
    }

    fn group_result(&mut self, label: &str) {
        let Some(Target { account, .. }) = first(self.event, TargetKind::Group) else {
            return;
        };
        let Some(title) = self.now(Some(account), TITLE) else { return };
        let open = self.out.open(label);
        self.out.text(",\"uid\":", &account.id);
        self.new_or(",\"name\":", Some(title), None);
        self.out.close(open);
    }

    /// The object as it is named now, and under `data` each value by the vendor's name for it.
    fn entity_result(&mut self, label: &str) {
        let of = self.subject.entity.map(|target| &target.account);
        if self.changed(of).next().is_none() {
            return;
        }
        let title = self.now(of, TITLE);
        let open = self.out.open(label);
        self.entity_name(title);
        let data = self.out.open(",\"data\":");
        for (nth, (change, to)) in self.changed(of).enumerate() {
            let name = change.name.decode();
            let again = self.changed(of).take(nth).any(|(earlier, _)| earlier.name == change.name);
            if again || name.trim().is_empty() || name.len() > NAME {
                continue;
            }
            self.out.put(",");
            change.name.write(self.out.buf);
            self.out.put(":");
            self.said(to);
        }
        if self.out.close(data) {
            self.out.close(open);
        } else {
            self.out.cut_label(open);
        }
    }

    fn new_or(&mut self, label: &str, new: Option<&Text<'r>>, old: Option<&Text<'r>>) {
        match (new, old) {
            (Some(new), _) => {
                self.out.put(label);
                self.said(new);
            }
            (None, Some(old)) => {
                self.out.put(label);
                self.out.string(old);
            }
            (None, None) => {}
        }
    }

    /// What a value says. It stays among what is unmapped, too, beside what it was before.
    pub(super) fn said(&mut self, value: &Text<'r>) {
        if let Some(slice) = value.source() {
            self.out.note_only(slice);
        }
        said(value, &mut |said| self.out.plain(said));
    }
}

/// Shows a value, which vendors may write as JSON in a text: `"[\"x\"]"` and `"\"x\""` say `x`.
fn said(text: &Text<'_>, show: &mut dyn FnMut(&str)) {
    let one = |value: Value<'_, '_>| {
        let mut elements = value.elements();
        let one = match value.kind() {
            Kind::Array => elements.next().filter(|_| elements.next().is_none()),
            _ => Some(value),
        };
        one.and_then(|one| one.as_text()).map(|one| one.read(&mut *show)).is_some()
    };
    if inside(text, |text| text.starts_with(['[', '"']), one) != Some(true) {
        text.read(show);
    }
}

/// Whether it is so of what a value says.
fn says(text: &Text<'_>, is: impl Fn(&str) -> bool) -> bool {
    let mut so = false;
    said(text, &mut |said| so = is(said));
    so
}
