//! Who acts, where from, and on what.

use serde_json::{Value, json};

use crate::rng::Rng;

/// One of the account's users.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) real_name: &'static str,
    pub(super) key: &'static str,
    pub(super) phone: &'static str,
}

const fn person(
    name: &'static str,
    real_name: &'static str,
    key: &'static str,
    phone: &'static str,
) -> Person {
    Person { name, real_name, key, phone }
}

const PEOPLE: [Person; 10] = [
    person("ada.brandt", "Ada Brandt", "DUEXAMPLE00000000001", "+12025550101"),
    person("bo.lindqvist", "Bo Lindqvist", "DUEXAMPLE00000000002", "+12025550102"),
    person("carmen.nunez", "Carmen Núñez", "DUEXAMPLE00000000003", "+12025550103"),
    person("dmitri.sokolov", "Дмитрий Соколов", "DUEXAMPLE00000000004", "+12025550104"),
    person("EXAMPLE\\emma.roe", "Emma Roe", "DUEXAMPLE00000000005", "+12025550105"),
    person("fatima.haddad", "فاطمة حداد", "DUEXAMPLE00000000006", "+12025550106"),
    person("zoë.müller", "Zoë Müller", "DUEXAMPLE00000000007", "+12025550107"),
    person("hiro", "伊藤 浩 🗻", "DUEXAMPLE00000000008", "+12025550108"),
    person("ines.costa@example.com", "Inês \"Nê\" Costa", "DUEXAMPLE00000000009", "+12025550109"),
    person("svc-backup", "Backup Service", "DUEXAMPLE0000000000A", "+12025550110"),
];

const GROUPS: [(&str, &str); 5] = [
    ("DGEXAMPLE00000000001", "Everyone"),
    ("DGEXAMPLE00000000002", "VPN Users (from AD sync \"Example AD\")"),
    ("DGEXAMPLE00000000003", "Finance"),
    ("DGEXAMPLE00000000004", "Domain Admins (from AD sync \"Example AD\")"),
    ("DGEXAMPLE00000000005", "Außendienst"),
];

const APPLICATIONS: [(&str, &str, &str); 6] = [
    ("DIEXAMPLE00000000001", "Example VPN", "cisco"),
    ("DIEXAMPLE00000000002", "Microsoft RDP", "rdp"),
    ("DIEXAMPLE00000000003", "Example Payroll", "websdk"),
    ("DIEXAMPLE00000000004", "UNIX Application", "unix"),
    ("DIEXAMPLE00000000005", "Example Single Sign-On", "sso-generic"),
    ("DIEXAMPLE00000000006", "Rechnungsprüfung", "websdk"),
];

const PLACES: [(Option<&str>, Option<&str>, Option<&str>); 6] = [
    (Some("Portland"), Some("Oregon"), Some("United States")),
    (Some("Rotterdam"), Some("South Holland"), Some("Netherlands")),
    (Some("Zürich"), Some("Zurich"), Some("Switzerland")),
    (Some("Osaka"), Some("Ōsaka"), Some("Japan")),
    (None, None, Some("Brazil")),
    (None, None, None),
];

pub(super) fn anybody(rng: &mut Rng) -> &'static Person {
    rng.pick(&PEOPLE)
}

/// The name of a group as records have it; the id itself for an unknown one.
pub(in super::super) fn group_name(key: &str) -> String {
    let found = GROUPS.iter().find(|(own, _)| *own == key);
    found.map_or(key, |(_, name)| name).to_owned()
}

/// Some groups, key and name.
pub(super) fn groups(rng: &mut Rng) -> Vec<(&'static str, &'static str)> {
    GROUPS.into_iter().filter(|_| rng.below(3) == 0).collect()
}

/// Key, name and type of an application.
pub(super) fn application(rng: &mut Rng) -> (&'static str, &'static str, &'static str) {
    *rng.pick(&APPLICATIONS)
}

/// City, country and state, the lesser known ones null.
pub(super) fn location(rng: &mut Rng) -> Value {
    let (city, state, country) = *rng.pick(&PLACES);
    json!({"city": city, "country": country, "state": state})
}

/// An address of the ranges that documentation may use.
pub(super) fn address(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => format!("2001:db8:{:x}::{:x}", rng.below(0xffff), 1 + rng.below(0xfffe)),
        1 | 2 => format!("192.0.2.{}", 1 + rng.below(254)),
        3 | 4 => format!("198.51.100.{}", 1 + rng.below(254)),
        _ => format!("203.0.113.{}", 1 + rng.below(254)),
    }
}

/// Browser with version, system with version.
pub(super) fn software(rng: &mut Rng) -> [&'static str; 4] {
    *rng.pick(&[
        ["Chrome", "143.0.7499.110", "Windows", "11"],
        ["Edge Chromium", "143.0.3650.80", "Windows", "10.0.19045"],
        ["Safari", "26.1", "Mac OS X", "26.1"],
        ["Firefox", "146.0", "Linux", "unknown"],
        ["Mobile Safari", "26.1", "iOS", "26.1"],
        ["Chrome Mobile", "143.0.7499.52", "Android", "16"],
    ])
}

/// A key in the vendor's form: two letters and eighteen more characters.
pub(super) fn key(prefix: &str, rng: &mut Rng) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut key = prefix.to_owned();
    key.extend((prefix.len()..20).map(|_| char::from(*rng.pick(DIGITS))));
    key
}
