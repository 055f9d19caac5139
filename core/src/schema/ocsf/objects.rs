//! Objects that several classes share, and what a class has of its own.

use super::form::{first, privileges};
use super::observables::{self, Origin, is_short, is_short_ip};
use super::table::{Form, Version};
use super::words;
use super::{Document, countries};
use crate::event::{
    Account, Actor, ActorKind, Agent, App, Deed, Device, Factor, Geo, Mfa, Network, Session, Span, Target,
    TargetKind,
};
use crate::json::{Text, any};
use wide::u8x16;

impl<'e, 'r> Document<'_, '_, 'e, 'r> {
    /// A user object. Whoever calls it knows that there is one.
    fn account(
        &mut self,
        label: &str,
        observed: &'static observables::User,
        account: &'e Account<'r>,
        kind: ActorKind,
        word: Option<&'e Text<'r>>,
    ) {
        let Account { id, name: _, email, full_name, domain } = account;
        let open = self.out.open(label);
        if let Some(id) = id {
            self.out.put(",\"uid\":");
            self.out.string(id);
            self.observables.add(observed.uid, id);
        }
        if let Some(name) = account.shown() {
            self.out.put(",\"name\":");
            self.out.string(name);
            self.observables.add(observed.name, name);
        }
        if let Some(email) = email.as_ref().filter(|email| email.read(words::is_email)) {
            self.out.put(",\"email_addr\":");
            self.out.string(email);
            self.observables.add(observed.email, email);
        }
        self.out.text(",\"full_name\":", full_name);
        self.out.text(",\"domain\":", domain);
        if std::ptr::eq(account, &self.event.actor.account) {
            let groups = self.out.open(",\"groups\":");
            for group in &self.event.actor.groups {
                self.out.put(",{\"name\":");
                self.out.string(group);
                self.out.put("}");
            }
            self.out.close_array(groups);
        }
        let id = match word {
            Some(word) => word.read(|word| words::user(kind, word)),
            None => words::user(kind, ""),
        };
        if id.number != 0 {
            let fallback = if kind == ActorKind::Agent { "AI Agent" } else { "IP Address" };
            self.enumerated(id, word, fallback);
            self.out.mark(word);
        }
        self.out.close(open);
    }

    /// Whether the one that something was done to did it.
    pub(super) fn is_own(&self) -> bool {
        self.subject.user.is_none_or(|(account, _)| std::ptr::eq(account, &self.event.actor.account))
    }

    /// Whom it was done to.
    pub(super) fn user(&mut self) {
        if let Some((account, kind)) = self.subject.user {
            let word = if self.is_own() { self.event.actor.word.as_ref() } else { None };
            self.account(",\"user\":", &observables::USER, account, kind, word);
        }
    }

    /// Who did it.
    pub(super) fn actor(&mut self) {
        if self.form == Form::Finding {
            return;
        }
        if self.actor_object(",\"actor\":", &observables::ACTOR) && self.form == Form::Base {
            self.profiles.host = true;
        }
        let agent = self.event.actor.kind == ActorKind::Agent && self.event.actor.account.is_user();
        if agent && self.version == Version::V1_9 && self.form != Form::Base {
            self.out.put(",\"ai_agent\":");
            self.named(&self.event.actor.account);
            self.profiles.ai_operation = true;
        }
    }

    fn actor_object(&mut self, label: &str, observed: &'static observables::User) -> bool {
        let Actor { kind, word, account, on_behalf_of, groups: _ } = &self.event.actor;
        let App { id: app_id, name: app_name } = &self.event.app;
        let open = self.out.open(label);
        // An agent acts for a person, where the record names one.
        if *kind == ActorKind::Agent && on_behalf_of.is_user() {
            self.account(",\"user\":", observed, on_behalf_of, ActorKind::User, None);
        } else if account.is_user() {
            self.account(",\"user\":", observed, account, *kind, word.as_ref());
        }
        let elsewhere = match self.form {
            Form::Authentication => self.is_own(),
            Form::AuthorizeSession => true,
            _ => false,
        };
        if !elsewhere {
            self.session(",\"session\":");
        }
        // The one that something was done to is not the one that it was done with.
        let target = first(self.event, TargetKind::App).map(|target| &target.account);
        let is_target = target.is_some_and(|target| {
            (target.id.is_some() && target.id == *app_id)
                || (app_name.is_some() && (target.full_name == *app_name || target.name == *app_name))
        });
        let is_entity = self.form == Form::Entity && self.subject.entity.is_none();
        let agent = *kind == ActorKind::Agent && on_behalf_of.is_user() && self.version == Version::V1_8;
        if agent {
            self.out.text(",\"app_uid\":", &account.id);
            self.out.text(",\"app_name\":", &account.full_name);
        } else if self.form != Form::Authentication && !is_target && !is_entity {
            self.out.text(",\"app_uid\":", app_id);
            self.out.text(",\"app_name\":", app_name);
        }
        let required = matches!(self.form, Form::Api | Form::File);
        if required && self.out.is_empty_since(open) {
            // Nobody is named: it was the service itself.
            self.out.put(",\"app_name\":");
            self.out.plain(self.context.names.product);
        }
        self.out.close(open)
    }

    /// Name and id.
    pub(super) fn named(&mut self, account: &Account<'r>) {
        let open = self.out.open("");
        self.out.text(",\"uid\":", &account.id);
        if let Some(name) = account.full_name.as_ref().or(account.name.as_ref()).or(account.email.as_ref()) {
            self.out.put(",\"name\":");
            self.out.string(name);
        }
        self.out.close(open);
    }

    /// What was signed in to: the application, or the service itself.
    pub(super) fn service(&mut self) {
        let App { id, name } = &self.event.app;
        let open = self.out.open(",\"service\":");
        self.out.text(",\"uid\":", id);
        self.out.text(",\"name\":", name);
        if id.is_none() && name.is_none() {
            self.out.put(",\"name\":");
            self.out.plain(self.context.names.product);
        }
        self.out.close(open);
        if let Some(target) = first(self.event, TargetKind::App)
            && (target.account.id != *id || id.is_none())
            && (target.account.full_name != *name || name.is_none())
        {
            self.out.put(",\"dst_endpoint\":");
            self.named(&target.account);
        }
    }

    pub(super) fn session(&mut self, label: &str) {
        let Session { id, root, issuer, protocol: _, background: _ } = &self.event.session;
        let open = self.out.open(label);
        self.out.text(",\"uid\":", id);
        self.out.text(",\"uid_alt\":", root);
        self.out.text(",\"issuer\":", issuer);
        if !self.out.is_empty_since(open) {
            self.out.put(",\"is_remote\":true");
            if let Some(performed) = self.event.mfa.performed {
                self.out.put(",\"is_mfa\":");
                self.out.boolean(performed);
            }
        }
        self.out.close(open);
    }

    pub(super) fn factors(&mut self) {
        let Mfa { factor, word, device, others, .. } = &self.event.mfa;
        let list = self.out.open(",\"auth_factors\":");
        if let Some(factor) = factor {
            let open = self.out.open(",");
            self.factor(*factor, word.as_ref());
            if device.is_user() {
                let open = self.out.open(",\"device\":");
                self.out.text(",\"uid\":", &device.id);
                self.out.text(",\"name\":", &device.name);
                self.out.put(",\"type_id\":0,\"type\":\"Unknown\"");
                self.out.close(open);
                if device.name.as_ref().is_some_and(|name| name.read(is_phone_number)) {
                    self.out.text(",\"phone_number\":", &device.name);
                }
            }
            self.out.close(open);
        }
        for (factor, word) in others {
            let open = self.out.open(",");
            self.factor(*factor, word.as_ref());
            self.out.close(open);
        }
        self.out.close_array(list);
    }

    fn factor(&mut self, factor: Factor, word: Option<&Text<'r>>) {
        let provider =
            first(self.event, TargetKind::Factor).and_then(|target| target.account.full_name.as_ref());
        self.enumerated(words::factor(factor), word, factor.name());
        match factor {
            Factor::Totp => self.out.put(",\"is_totp\":true"),
            Factor::Hotp => self.out.put(",\"is_hotp\":true"),
            _ => {}
        }
        if let Some(provider) = provider {
            self.out.put(",\"provider\":");
            self.out.string(provider);
        }
    }

    /// Where it came from.
    pub(super) fn endpoint(&mut self, label: &str, observed: &'static Origin) {
        let Network { ip, address, via, port, geo, as_number, as_organization, isp, domain, proxy: _ } =
            &self.event.source;
        // It is an address: the event has no other here.
        let short = ip.as_ref().filter(|ip| is_short(ip));
        let name = if short.is_some() { None } else { ip.as_ref().or(address.as_ref()) };
        if short.is_none() && name.is_none() && domain.is_none() {
            if matches!(self.form, Form::Api | Form::File) {
                self.out.put(label);
                self.out.put("{\"name\":");
                self.out.plain(self.context.names.product);
                self.out.put("}");
            }
            return;
        }
        let open = self.out.open(label);
        if let Some(ip) = short {
            self.out.put(",\"ip\":");
            self.out.string(ip);
            self.observables.add(observed.ip, ip);
        }
        if let Some(name) = name {
            self.out.put(",\"name\":");
            self.out.string(name);
        }
        if let Some(port) = port {
            self.out.put(",\"port\":");
            self.out.number(i64::from(*port));
        }
        self.out.text(",\"domain\":", domain);
        let list = self.out.open(",\"intermediate_ips\":");
        for ip in via.iter().filter(|ip| is_short_ip(ip)) {
            self.out.put(",");
            self.out.string(ip);
        }
        self.out.close_array(list);
        self.location(geo);
        let system = self.out.open(",\"autonomous_system\":");
        if let Some(number) = as_number {
            self.out.put(",\"number\":");
            self.out.number(*number);
            self.told.system = Some(*number);
        }
        self.out.text(",\"name\":", as_organization);
        self.out.close(system);
        self.out.text(",\"isp\":", isp);
        if !self.has_device() {
            // The device itself is not known, but something of it.
            let sort = self.sort();
            if sort.number != 0 {
                self.enumerated(sort, None, "");
            }
            self.os();
        }
        self.out.close(open);
    }

    /// A place is one by its names; coordinates alone are none.
    fn location(&mut self, geo: &Geo<'r>) {
        let Geo { city, region, country, country_code, postal, location, partial: _ } = geo;
        if [city, region, country, country_code, postal].into_iter().all(Option::is_none) {
            return;
        }
        let open = self.out.open(",\"location\":");
        self.out.text(",\"city\":", city);
        self.out.text(",\"region\":", region);
        if let Some(named) = country_code.as_ref().or(country.as_ref()) {
            self.out.put(",\"country\":");
            match named.read(countries::code) {
                Some(code) if named != code => self.out.plain(code),
                _ => self.out.string(named),
            }
            self.out.text(",\"desc\":", country);
        }
        self.out.text(",\"postal_code\":", postal);
        if let Some((lat, lon)) = location {
            self.out.put(",\"lat\":");
            self.out.copy(lat);
            self.out.put(",\"long\":");
            self.out.copy(lon);
        }
        self.out.close(open);
    }

    /// With which program.
    pub(super) fn http_request(&mut self, label: &str, observed: &'static Origin) {
        let Agent { original, browser: _, version: _, os: _ } = &self.event.agent;
        let open = self.out.open(label);
        if let Some(agent) = original {
            self.out.put(",\"user_agent\":");
            self.out.string(agent);
            self.observables.add(observed.agent, agent);
        }
        if let Some(path) = &self.event.transaction.path {
            self.out.put(",\"url\":{\"path\":");
            self.out.string(path);
            self.out.put("}");
        }
        self.out.close(open);
    }

    fn has_device(&self) -> bool {
        self.event.device.id.is_some() || self.event.device.name.is_some()
    }

    fn sort(&self) -> words::Id {
        const NOTHING: &Text<'_> = &Text::from_static("");
        let Device { os, word, .. } = &self.event.device;
        let os = os.as_ref().or(self.event.agent.os.as_ref()).unwrap_or(NOTHING);
        word.as_ref().unwrap_or(NOTHING).read(|word| os.read(|os| words::device(word, os)))
    }

    fn os(&mut self) {
        let Device { os, os_version, .. } = &self.event.device;
        let Some(name) = os.as_ref().or(self.event.agent.os.as_ref()) else { return };
        let open = self.out.open(",\"os\":");
        self.out.put(",\"name\":");
        self.out.string(name);
        self.enumerated(name.read(words::os), Some(name), "");
        self.out.text(",\"version\":", os_version);
        self.out.close(open);
    }

    /// The device, where it has a name or id.
    pub(super) fn device(&mut self) {
        let Device { id, name, os: _, os_version: _, managed, word: _ } = &self.event.device;
        if !self.has_device() {
            return;
        }
        self.profiles.host = true;
        let open = self.out.open(",\"device\":");
        if let Some(id) = id {
            self.out.put(",\"uid\":");
            self.out.string(id);
            self.observables.add(observables::DEVICE_UID, id);
        }
        if let Some(name) = name {
            self.out.put(",\"name\":");
            self.out.string(name);
            if name.as_plain().is_some_and(is_hostname) {
                self.out.put(",\"hostname\":");
                self.out.string(name);
                self.observables.add(observables::DEVICE_HOSTNAME, name);
            }
        }
        let sort = self.sort();
        self.enumerated(sort, None, "");
        self.os();
        if let Some(managed) = managed {
            self.out.put(",\"is_managed\":");
            self.out.boolean(*managed);
            self.told.managed = Some(*managed);
        }
        self.out.close(open);
    }

    /// What a user or a group may do now, or no longer.
    pub(super) fn privileges(&mut self) {
        let roles = first(self.event, TargetKind::Role).is_some();
        // A session is authorized for privileges or for a group, an account needs privileges; a group may have none.
        if self.form != Form::Access && !roles {
            return;
        }
        let open = self.out.open(",\"privileges\":");
        for name in privileges(self.event) {
            self.out.put(",");
            self.out.string(name);
        }
        self.out.close_array(open);
        if self.version == Version::V1_9 {
            let open = self.out.open(",\"iam_roles\":");
            for role in self.targets(&[TargetKind::Role]) {
                self.out.put(",");
                self.named(&role.account);
            }
            self.out.close_array(open);
        }
    }

    fn targets(&self, kinds: &'static [TargetKind]) -> impl Iterator<Item = &'e Target<'r>> + use<'e, 'r> {
        let wanted = move |kind| kinds.is_empty() || kinds.contains(&kind);
        self.event.targets.iter().filter(move |target| wanted(target.kind) && target.account.is_user())
    }

    /// Objects that something was done with.
    pub(super) fn resources(&mut self, kinds: &'static [TargetKind]) {
        let open = self.out.open(",\"resources\":");
        let actor = &self.event.actor;
        // Whoever a finding names is whom it is about, unless it names somebody else.
        let affected = self.form == Form::Finding
            && actor.kind == ActorKind::User
            && actor.account.is_user()
            && first(self.event, TargetKind::User).is_none();
        if affected {
            let open = self.out.open(",");
            self.out.text(",\"uid\":", &actor.account.id);
            if let Some(name) = actor.account.shown() {
                self.out.put(",\"name\":");
                self.out.string(name);
            }
            self.out.put(",\"type\":\"User\",\"role_id\":3,\"role\":\"Affected\"");
            self.out.close(open);
        }
        for Target { kind, word, account } in self.targets(kinds) {
            let open = self.out.open(",");
            if let Some(id) = &account.id {
                self.out.put(",\"uid\":");
                self.out.string(id);
                if account.name.is_none() && account.full_name.is_none() {
                    self.observables.add(observables::RESOURCES_UID, id);
                }
            }
            if let Some(name) =
                account.full_name.as_ref().or(account.name.as_ref()).or(account.email.as_ref())
            {
                self.out.put(",\"name\":");
                self.out.string(name);
            }
            self.out.put(",\"type\":");
            match word {
                Some(word) => self.out.string(word),
                None => self.out.plain(words::target(*kind)),
            }
            self.out.put(if self.form == Form::Finding {
                ",\"role_id\":3,\"role\":\"Affected\""
            } else {
                ",\"role_id\":1,\"role\":\"Target\""
            });
            self.out.close(open);
        }
        self.out.close_array(open);
    }

    fn group(&mut self, label: &str, observed: &'static observables::Group, group: &'e Account<'r>) {
        let open = self.out.open(label);
        if let Some(id) = &group.id {
            self.out.put(",\"uid\":");
            self.out.string(id);
            self.observables.add(observed.uid, id);
        }
        if let Some(name) = group.full_name.as_ref().or(group.name.as_ref()).or(group.email.as_ref()) {
            self.out.put(",\"name\":");
            self.out.string(name);
            self.observables.add(observed.name, name);
        }
        self.out.close(open);
    }

    /// The group; a session may have been given to several.
    pub(super) fn groups(&mut self) {
        let Some(group) = first(self.event, TargetKind::Group) else { return };
        if self.form == Form::AuthorizeSession && self.version == Version::V1_9 {
            let open = self.out.open(",\"groups\":");
            for group in self.targets(&[TargetKind::Group]) {
                self.out.put(",");
                self.named(&group.account);
            }
            self.out.close_array(open);
        } else {
            self.group(",\"group\":", &observables::GROUP, &group.account);
        }
    }

    /// Who was added to the group or taken from it.
    pub(super) fn members(&mut self) {
        if self.version == Version::V1_8 {
            self.user();
            return;
        }
        let open = self.out.open(",\"users\":");
        for target in self.targets(&[TargetKind::User, TargetKind::AppUser]) {
            self.account(",", &observables::USERS, &target.account, ActorKind::User, None);
        }
        self.out.close_array(open);
    }

    /// The object that was changed; where none is named, the service itself.
    pub(super) fn entity(&mut self) {
        let open = self.out.open(",\"entity\":");
        self.entity_name(None);
        if let Some(Target { kind, word: _, account }) = self.subject.entity {
            if let Some(id) = &account.id {
                self.observables.add(observables::ENTITY_UID, id);
            }
            match kind {
                TargetKind::Policy => {
                    self.out.put(",\"policy\":");
                    self.named(account);
                }
                TargetKind::Group => self.group(",\"group\":", &observables::ENTITY_GROUP, account),
                TargetKind::User | TargetKind::AppUser => {
                    self.account(",\"user\":", &observables::ENTITY_USER, account, ActorKind::User, None);
                }
                _ => {}
            }
        }
        self.out.close(open);
    }

    /// Its id, name and sort; `renamed`: the name that it has now.
    pub(super) fn entity_name(&mut self, renamed: Option<&Text<'r>>) {
        if let Some(Target { kind, word, account }) = self.subject.entity {
            self.out.text(",\"uid\":", &account.id);
            let name = account.full_name.as_ref().or(account.name.as_ref()).or(account.email.as_ref());
            match (renamed, name) {
                (Some(renamed), _) => {
                    self.out.put(",\"name\":");
                    self.said(renamed);
                }
                (None, Some(name)) => {
                    self.out.put(",\"name\":");
                    self.out.string(name);
                }
                (None, None) => {}
            }
            self.enumerated(words::entity(*kind), word.as_ref(), words::target(*kind));
            return;
        }
        let App { id, name } = &self.event.app;
        let Mfa { factor, word, deed, .. } = &self.event.mfa;
        let fallback = if let (Some(factor), Some(Deed::Allow | Deed::Forbid)) = (factor, deed) {
            self.out.put(",\"name\":");
            match word {
                Some(word) => self.out.string(word),
                None => self.out.plain(factor.name()),
            }
            "Factor"
        } else {
            self.out.text(",\"uid\":", id);
            self.out.text(",\"name\":", name);
            if id.is_some() || name.is_some() {
                "Application"
            } else {
                self.out.put(",\"name\":");
                self.out.plain(self.context.names.product);
                "Service"
            }
        };
        self.enumerated(words::OTHER_TYPE, None, fallback);
    }

    pub(super) fn api(&mut self) {
        let open = self.out.open(",\"api\":");
        self.out.text(",\"operation\":", &self.event.kind.action);
        self.out.put(",\"service\":{\"name\":");
        self.out.plain(self.context.names.product);
        self.out.put("}");
        self.out.close(open);
    }

    pub(super) fn file(&mut self) {
        let Some(Target { kind: _, word, account }) = self.subject.entity else { return };
        let open = self.out.open(",\"file\":");
        self.out.text(",\"uid\":", &account.id);
        if let Some(name) = account.full_name.as_ref().or(account.name.as_ref()).or(account.id.as_ref()) {
            self.out.put(",\"name\":");
            self.out.string(name);
            self.observables.add(observables::FILE_NAME, name);
        }
        let id =
            word.as_ref().map_or_else(|| words::file(None), |word| word.read(|word| words::file(Some(word))));
        self.enumerated(id, word.as_ref(), "");
        self.out.close(open);
    }

    /// What the vendor found, and what it saw.
    pub(super) fn finding(&mut self) {
        let event = self.event;
        let open = self.out.open(",\"finding_info\":");
        self.out.put(",\"uid\":");
        match (&event.id, self.context.id) {
            (Some(id), _) => self.out.string(id),
            (None, Some(id)) => self.out.plain(id),
            (None, None) => self.out.plain("unknown"),
        }
        self.out
            .text(",\"title\":", if event.message.is_some() { &event.message } else { &event.kind.action });
        if let Some(action) = &event.kind.action {
            self.out.put(",\"types\":[");
            self.out.string(action);
            self.out.put("],\"analytic\":{\"name\":");
            self.out.string(action);
            self.out.put(",\"type_id\":0,\"type\":\"Unknown\"}");
        }
        let Span { began, ended, changed } = event.span;
        let times = [
            (",\"created_time\":", event.time),
            (",\"first_seen_time\":", began),
            (",\"last_seen_time\":", ended),
            (",\"modified_time\":", changed),
        ];
        for (label, time) in times {
            if let Some(time) = time {
                self.out.put(label);
                self.out.number(time.timestamp_millis());
            }
        }
        self.out.close(open);
        self.out.put(",\"is_alert\":true");
        let list = self.out.open(",\"evidences\":");
        let open = self.out.open(",");
        self.actor_object(",\"actor\":", &observables::EVIDENCE_ACTOR);
        self.endpoint(",\"src_endpoint\":", &observables::EVIDENCE_ORIGIN);
        // A request alone is no evidence.
        if !self.out.is_empty_since(open) {
            self.http_request(",\"http_request\":", &observables::EVIDENCE_ORIGIN);
        }
        self.out.close(open);
        self.out.close_array(list);
        self.resources(&[]);
    }
}

/// As E.164 has it.
fn is_phone_number(name: &str) -> bool {
    let digits = name.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of letters, digits and `-_.` alone.
fn is_hostname(name: &str) -> bool {
    let odd = |bytes: u8x16| {
        let small = bytes | u8x16::splat(0x20);
        let between = |bytes: u8x16, first: u8, last: u8| {
            (bytes - u8x16::splat(first)).simd_le(last.wrapping_sub(first))
        };
        let fit = between(small, b'a', b'z')
            | between(bytes, b'0', b'9')
            | bytes.simd_eq(b'-')
            | bytes.simd_eq(b'_')
            | bytes.simd_eq(b'.');
        !fit
    };
    name.len() <= 253 && !any(name.as_bytes(), odd)
}

#[cfg(test)]
mod tests {
    use super::is_hostname;

    proptest::proptest! {
        #[test]
        fn a_hostname_is_of_few_letters(name in "[a-zA-Z0-9._-]{0,40}[ -~é\u{1}]?[a-z0-9-]{0,20}") {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            proptest::prop_assert_eq!(is_hostname(&name), plain, "{}", name);
        }
    }
}
