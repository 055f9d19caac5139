//! `ecs`: Elastic Common Schema, with the vendor's fields under the namespace that existing content queries.

use super::{Context, Marks, Rendered, Schema, Writer};
use crate::event::{
    Account, ActorKind, Agent, App, Categories, Device, Ending, Event, Geo, Kind, Network, Outcome, Product,
    Session, Table, Target, TargetKind, Transaction, write_time,
};
use crate::json::{Text, decoded, write_string};
use crate::source::{Names, NormalizeError};
use std::collections::HashSet;
use std::ops::Range;

/// The version whose fields are used; also the newest that Elastic's own integrations stamp.
const VERSION: &str = ",\"ecs\":{\"version\":\"8.17.0\"}";

pub(super) struct Ecs;

impl Schema for Ecs {
    fn name(&self) -> &'static str {
        "ecs"
    }

    fn sourcetype(&self, _: &Event<'_>, _: &'static Names, _: bool) -> &'static str {
        "tidegate:ecs"
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
            log,
            organization,
            // `@timestamp` says the same.
            written,
            // Its end and its last change are kept in the namespace.
            span,
            kind,
            outcome,
            message,
            // Kept in the namespace.
            severity: _,
            actor,
            targets,
            source,
            agent,
            session,
            transaction,
            // Rules read it in the vendor's words, from the namespace.
            mfa: _,
            // Written into the namespace, where rules look for it.
            risk: _,
            device,
            app,
            // Kept in the namespace.
            changes: _,
            record,
            // Written by the namespace.
            part: _,
            table,
        } = event;
        let Context {
            tenant: _,
            organisation,
            namespace: _,
            names,
            fetched,
            ingested,
            id: _,
            original,
            as_sent: _,
            marks,
        } = context;
        let raw = record.map(|record| record.record()).unwrap_or_default();
        out.begin(raw);
        let document = out.open("");
        out.put(",\"@timestamp\":");
        out.note_text(written.as_ref());
        if let Some(time) = time {
            write_time(*time, out.buf);
        } else {
            fetched.write(out.buf);
        }
        out.put(VERSION);
        data_stream(out, context);

        let Kind { action, class: _, activity: _, categories, types, alert } = kind;
        out.put(if *alert {
            ",\"event\":{\"kind\":\"alert\",\"module\":\""
        } else {
            ",\"event\":{\"kind\":\"event\",\"module\":\""
        });
        out.put(names.namespace);
        out.put("\",\"dataset\":\"");
        out.put(names.dataset);
        out.put("\"");
        match table.action {
            Some(action) => {
                out.put(",\"action\":\"");
                out.put(action);
                out.put("\"");
            }
            None => out.text(",\"action\":", action),
        }
        out.text(",\"provider\":", log);
        elements(out, ",\"category\":", categories.elements());
        elements(out, ",\"type\":", types.elements());
        // The second sentence is the message too.
        let Outcome { result, word, reason, detail: _, code } = outcome;
        out.put(",\"outcome\":");
        out.note_text(word.as_ref().or(code.as_ref()));
        out.put(match Told::of(*result, table) {
            Told::Success => "\"success\"",
            Told::Failure => "\"failure\"",
            Told::Unknown => "\"unknown\"",
        });
        out.text(",\"reason\":", reason);
        out.text(",\"id\":", id);
        if let Some(start) = span.began.filter(|_| table.start) {
            out.put(",\"start\":");
            write_time(start, out.buf);
        }
        out.put(",\"created\":");
        fetched.write(out.buf);
        out.put(",\"ingested\":");
        ingested.write(out.buf);
        if *original && !raw.is_empty() {
            out.put(",\"original\":");
            write_string(raw, out.buf);
        }
        out.put("}");

        if let Some(message) = message {
            out.put(",\"message\":");
            out.string(message);
        }

        let user = out.open(",\"user\":");
        let Account { id: _, name: _, email: _, full_name: _, domain: _ } = &actor.account;
        account(out, &actor.account);
        if actor.kind == ActorKind::Agent {
            out.put(",\"roles\":[\"agent\"]");
        }
        let target_user = targets.iter().find(|target| target.kind == TargetKind::User);
        let target_group = targets.iter().find(|target| target.kind == TargetKind::Group);
        if target_user.is_some() || target_group.is_some() {
            let target = out.open(",\"target\":");
            if let Some(target) = target_user {
                account(out, &target.account);
            }
            if let Some(group) = target_group {
                group_target(out, &group.account);
            }
            out.close(target);
        }
        let effective = out.open(",\"effective\":");
        account(out, &actor.on_behalf_of);
        out.close(effective);
        out.close(user);

        let from = out.open(",\"source\":");
        let content = out.len();
        let place = network(out, source, table.place);
        let of_user = out.open(",\"user\":");
        out.text(",\"id\":", &actor.account.id);
        out.text(",\"name\":", &actor.account.name);
        out.text(",\"full_name\":", &actor.account.full_name);
        if table.source_user {
            out.text(",\"email\":", &actor.account.email);
            if !table.anonymous.is_empty()
                && actor.account.email.is_none()
                && let Some(email) = record.and_then(|record| record.path(table.anonymous)?.as_text())
                && email.is_blank()
            {
                out.put(",\"email\":\"\"");
            }
            out.text(",\"domain\":", &actor.account.domain);
            if !actor.groups.is_empty() {
                out.put(",\"group\":{");
                let names = out.open("\"name\":");
                for name in &actor.groups {
                    out.put(",");
                    out.string(name);
                }
                out.close_array(names);
                out.put("}");
            }
        }
        out.close(of_user);
        if out.close(from) && table.client {
            let end = out.len();
            out.put(",\"client\":");
            let copied = out.len();
            out.buf.extend_from_within(content..end);
            out.copy_notes(content, end, copied);
        }

        if table.place && !place.is_empty() {
            out.put(",\"geo\":");
            let copied = out.len();
            out.buf.extend_from_within(place.clone());
            out.copy_notes(place.start, place.end, copied);
        }

        user_agent(out, agent, device, table.source_user);

        let Device { id: device_id, name: _, os: _, os_version, managed: _, word: _ } = device;
        // A program's machine is no host of the event; a device that it is about is one.
        if let Some(version) = os_version
            && categories.has(Categories::HOST)
        {
            out.put(",\"host\":{\"os\":{\"version\":");
            out.string(version);
            out.put("}}");
        }
        if let Some(id) = device_id {
            out.put(",\"device\":{\"id\":");
            out.string(id);
            out.put("}");
        }
        let Session { id: _, root: _, issuer: _, protocol: _, background: _ } = session;
        let App { id: _, name: _ } = app;
        let Transaction { id: transaction_id, word: _, path } = transaction;
        if let Some(id) = transaction_id {
            out.put(",\"transaction\":{\"id\":");
            out.string(id);
            out.put("}");
        }
        if let Some(path) = path {
            out.put(",\"url\":{\"path\":");
            out.string(path);
            out.put("}");
        }
        if let Some(rule) = targets.iter().find(|target| target.kind == TargetKind::Policy) {
            let open = out.open(",\"rule\":");
            out.text(",\"id\":", &rule.account.id);
            out.text(",\"name\":", &rule.account.full_name);
            out.close(open);
        }

        if let Some(target) = targets.iter().find(|target| target.kind == TargetKind::File) {
            file(out, target);
        }

        let whose = out.open(",\"organization\":");
        out.text(",\"id\":", organization);
        if let (None, Some(id)) = (organization, organisation) {
            out.put(",\"id\":");
            write_string(id, out.buf);
        }
        out.close(whose);
        out.put(table.constants);

        out.namespace(event, context);

        let related = out.open(",\"related\":");
        let ips = out.open(",\"ip\":");
        if let Some(ip) = &source.ip {
            out.put(",");
            out.string(ip);
        }
        // A chain of proxies is short; one that is not is looked up.
        let mut seen = (source.via.len() > 16).then(HashSet::new);
        for (at, ip) in source.via.iter().enumerate() {
            let again = match &mut seen {
                Some(seen) => !seen.insert(ip.decode()),
                None => source.via.get(..at).unwrap_or_default().contains(ip),
            };
            if Some(ip) != source.ip.as_ref() && !again {
                out.put(",");
                out.string(ip);
            }
        }
        for (nth, (at, end)) in out.addresses.into_iter().enumerate() {
            if end == 0 {
                break;
            }
            let same =
                |from: usize, to: usize, out: &Writer<'_>| out.buf.get(from..to) == out.buf.get(at..end);
            let is = |ip: &Text<'_>| out.buf.get(at + 1..end - 1) == ip.as_plain().map(str::as_bytes);
            let earlier = out.addresses.iter().take(nth).any(|(from, to)| same(*from, *to, out));
            if earlier || source.ip.iter().chain(&source.via).any(is) {
                continue;
            }
            out.put(",");
            out.buf.extend_from_within(at..end);
        }
        out.close_array(ips);
        // Existing content that knows whole users knows the names of their machines too.
        let machine = device.name.as_ref().filter(|_| table.source_user && source.address == device.name);
        if let Some(host) = source.domain.as_ref().or(machine) {
            out.put(",\"hosts\":[");
            out.string(host);
            out.put("]");
        }
        let people = [
            actor.account.full_name.as_ref(),
            target_user.and_then(|target| target.account.full_name.as_ref()),
            actor.account.name.as_ref(),
            target_user.and_then(|target| target.account.name.as_ref()),
            actor.on_behalf_of.name.as_ref(),
        ];
        let open = out.open(",\"user\":");
        for (at, name) in people.iter().enumerate() {
            let earlier = people.get(..at).unwrap_or_default();
            if let Some(name) = name
                && !earlier.contains(&Some(*name))
            {
                out.put(",");
                out.string(name);
            }
        }
        out.close_array(open);
        out.close(related);

        super::ecs::marks(out, marks, time.is_none(), *original && !raw.is_empty());
        out.close(document);
        Ok(Rendered { drift: out.drift, cut: out.cut })
    }
}

/// ECS's three outcomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Success,
    Failure,
    Unknown,
}

impl Told {
    pub(super) fn of(result: Ending, table: &Table) -> Self {
        match result {
            Ending::Success | Ending::Allowed => Self::Success,
            Ending::Failure | Ending::Denied => Self::Failure,
            Ending::Challenge | Ending::Interrupted if table.interrupts_fail => Self::Failure,
            // As Elastic's integrations have it for all other words.
            Ending::Challenge
            | Ending::Interrupted
            | Ending::Pending
            | Ending::Abandoned
            | Ending::Limited
            | Ending::Unknown => Self::Unknown,
        }
    }
}

pub(super) fn data_stream(out: &mut Writer<'_>, context: &Context<'_>) {
    out.put(",\"data_stream\":{\"type\":\"logs\",\"dataset\":\"");
    out.put(context.names.dataset);
    out.put("\",\"namespace\":");
    write_string(context.namespace, out.buf);
    out.put("}");
}

/// Labels and tags: what we have to say of the document.
pub(super) fn marks(out: &mut Writer<'_>, marks: &Marks<'_>, time_missing: bool, original: bool) {
    let Marks { late_seconds, revises, replay, reread } = marks;
    let marked = late_seconds.is_some() || revises.is_some() || replay.is_some() || *reread;
    if !marked && !time_missing && !original && out.cut == 0 {
        return;
    }
    let labels = out.open(",\"labels\":");
    if let Some(seconds) = late_seconds {
        out.put(",\"tidegate_late_seconds\":\"");
        out.number(i64::try_from(*seconds).unwrap_or(i64::MAX));
        out.put("\"");
    }
    if let Some(id) = revises {
        out.put(",\"tidegate_revises\":");
        out.plain(id);
    }
    if let Some(label) = replay {
        out.put(",\"tidegate_replay\":");
        out.plain(label);
    }
    out.close(labels);
    let tags = [
        (original, "preserve_original_event"),
        (time_missing, "time_missing"),
        (late_seconds.is_some(), "tidegate_late"),
        (revises.is_some(), "tidegate_revision"),
        (replay.is_some(), "tidegate_replay"),
        (*reread, "reread"),
        (out.cut > 0, "tidegate_cut"),
    ];
    words(out, ",\"tags\":", tags.into_iter().filter(|(said, _)| *said).map(|(_, word)| word));
}

/// A list; each element comes with its comma.
#[inline]
fn elements(out: &mut Writer<'_>, label: &str, elements: impl Iterator<Item = &'static str>) {
    let open = out.open(label);
    elements.for_each(|element| out.put(element));
    out.close_array(open);
}

pub(super) fn words(out: &mut Writer<'_>, label: &str, words: impl Iterator<Item = &'static str>) {
    let open = out.open(label);
    for word in words {
        out.put(",\"");
        out.put(word);
        out.put("\"");
    }
    out.close_array(open);
}

/// The group that something was done to.
fn group_target(out: &mut Writer<'_>, account: &Account<'_>) {
    let Account { id, name: _, email: _, full_name, domain } = account;
    let open = out.open(",\"group\":");
    out.text(",\"id\":", id);
    match (full_name, domain) {
        // As of people: the part of an address before the sign.
        (Some(address), Some(_)) => {
            out.put(",\"name\":");
            address.source().into_iter().for_each(|source| out.note(source));
            decoded(address, |address| out.plain(address.split('@').next().unwrap_or_default()));
        }
        (name, _) => out.text(",\"name\":", name),
    }
    out.text(",\"domain\":", domain);
    out.close(open);
}

fn account(out: &mut Writer<'_>, account: &Account<'_>) {
    let Account { id, name, email, full_name, domain } = account;
    out.text(",\"id\":", id);
    out.text(",\"name\":", name);
    out.text(",\"full_name\":", full_name);
    out.text(",\"email\":", email);
    out.text(",\"domain\":", domain);
}

/// Where the place was written.
fn network(out: &mut Writer<'_>, network: &Network<'_>, address_always: bool) -> Range<usize> {
    let Network { ip, address, via: _, port, geo, as_number, as_organization, isp: _, domain, proxy: _ } =
        network;
    out.text(",\"ip\":", ip);
    out.text(",\"address\":", if address_always && address.is_none() { ip } else { address });
    if let Some(port) = port {
        out.put(",\"port\":");
        out.number(i64::from(*port));
    }
    out.text(",\"domain\":", domain);
    if as_number.is_some() || as_organization.is_some() {
        let open = out.open(",\"as\":");
        if let Some(number) = as_number {
            out.put(",\"number\":");
            out.number(*number);
        }
        if let Some(organization) = as_organization {
            out.put(",\"organization\":{\"name\":");
            out.string(organization);
            out.put("}");
        }
        out.close(open);
    }
    let Geo { city, region, country, country_code, postal, location, partial: _ } = geo;
    let open = out.open(",\"geo\":");
    let from = out.len();
    out.text(",\"city_name\":", city);
    out.text(",\"region_name\":", region);
    out.text(",\"country_name\":", country);
    out.text(",\"country_iso_code\":", country_code);
    out.text(",\"postal_code\":", postal);
    if let Some((lat, lon)) = location {
        out.put(",\"location\":{\"lat\":");
        out.copy(lat);
        out.put(",\"lon\":");
        out.copy(lon);
        out.put("}");
    }
    if out.close(open) { from..out.len() } else { 0..0 }
}

/// A document, its type in the vendor's word.
fn file(out: &mut Writer<'_>, target: &Target<'_>) {
    let Target { kind: _, word, account } = target;
    let Account { id: _, name: _, email, full_name, domain: _ } = account;
    let open = out.open(",\"file\":");
    out.text(",\"name\":", full_name);
    if let Some(title) = full_name {
        decoded(title, |title| {
            if let Some((before, extension)) = title.rsplit_once('.')
                && !before.is_empty()
                && (1..=16).contains(&extension.len())
                && !extension.contains(char::is_whitespace)
            {
                out.put(",\"extension\":");
                write_string(extension, out.buf);
            }
        });
    }
    if let Some(word) = word {
        let folder = matches!(word.as_plain(), Some("folder" | "shared_drive" | "team_drive"));
        out.put(if folder { ",\"type\":\"dir\"" } else { ",\"type\":\"file\"" });
    }
    if let Some(owner) = email {
        out.put(",\"owner\":");
        decoded(owner, |owner| out.plain(owner.split('@').next().unwrap_or_default()));
    }
    out.close(open);
}

/// `whole`: the program is known by what the vendor says of the device.
fn user_agent(out: &mut Writer<'_>, agent: &Agent<'_>, device: &Device<'_>, whole: bool) {
    let Agent { original, browser, version, os } = agent;
    let Some(original) = original else {
        // The vendor has read the text itself, and keeps no more of it.
        let open = out.open(",\"user_agent\":");
        out.text(",\"name\":", browser);
        out.text(",\"version\":", version);
        if os.is_some() || whole {
            let open = out.open(",\"os\":");
            out.text(",\"name\":", os);
            out.text(",\"version\":", &device.os_version);
            out.close(open);
        }
        out.close(open);
        return;
    };
    out.put(",\"user_agent\":{\"original\":");
    out.string(original);
    // A slash escaped in JSON is read as one; other escapes do not occur in the parts that are read.
    decoded(original, |original| product(out, Product::read(original)));
    out.put("}");
}

fn product(out: &mut Writer<'_>, product: Product<'_>) {
    let Product { name, version, os, os_version, device } = product;
    // There is nothing to escape.
    let word = |out: &mut Writer<'_>, label: &str, word: &str| {
        out.put(label);
        out.put(word);
        out.put("\"");
    };
    if let Some(name) = name {
        word(out, ",\"name\":\"", name);
    }
    if let Some(version) = version {
        word(out, ",\"version\":\"", version);
    }
    if let Some(os) = os {
        word(out, ",\"os\":{\"name\":\"", os);
        if let Some(version) = os_version {
            out.put(",\"version\":\"");
            dotted(out, version);
            out.put("\",\"full\":\"");
            out.put(os);
            out.put(" ");
            dotted(out, version);
            out.put("\"");
        }
        out.put("}");
    }
    if let Some(device) = device {
        word(out, ",\"device\":{\"name\":\"", device);
        out.put("}");
    }
}

/// Apple writes `10_15_7`.
fn dotted(out: &mut Writer<'_>, version: &str) {
    let at = out.len();
    out.put(version);
    for byte in out.buf.get_mut(at..).unwrap_or_default() {
        if *byte == b'_' {
            *byte = b'.';
        }
    }
}
