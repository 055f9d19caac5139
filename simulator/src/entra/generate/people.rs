//! Who and what occurs in the records. All of it is invented.

use crate::rng::Rng;

pub(super) struct User {
    pub(super) id: &'static str,
    pub(super) upn: &'static str,
    pub(super) name: &'static str,
    pub(super) guest: bool,
}

const fn member(id: &'static str, upn: &'static str, name: &'static str) -> User {
    User { id, upn, name, guest: false }
}

pub(super) const USERS: &[User] = &[
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1001", "jo.park@example.com", "Jo Park"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1002", "sam.lindqvist@example.com", "Sam Lindqvist"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1003", "zoe.mueller@example.com", "Zoë Müller"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1004", "ren.ito@example.com", "伊藤 蓮"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1005", "dana.novak@example.com", "Dana Novák"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1006", "robin.costa@example.com", "Robin \"Rob\" Costa"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1007", "toni.ferrari@example.com", "toni.ferrari@example.com"),
    member("0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1008", "breakglass@example.onmicrosoft.com", "Break Glass"),
    User {
        id: "0b7e6a10-58d1-4c0e-9f54-1a6c0c9d1009",
        upn: "kim.roe_partner.example.net#EXT#@example.onmicrosoft.com",
        name: "Kim Roe (Partner)",
        guest: true,
    },
];

/// Id and display name.
pub(super) type Named = (&'static str, &'static str);

pub(super) const APPS: &[Named] = &[
    ("c44b4083-3bb0-49c1-b47d-974e53cbdf3c", "Azure Portal"),
    ("89bee1f7-5e6e-4d8a-9f3d-ecd601259da7", "Office365 Shell WCSS-Client"),
    ("1fec8e78-bce4-4aaf-ab1b-5451cc387264", "Microsoft Teams"),
    ("5e3ce6c0-2b1f-4285-8d4b-75ee78787346", "Example Payroll"),
    ("9d2a7f31-60c4-4e11-8d0a-33d7a1b2c3d4", "Example VPN"),
];

pub(super) const RESOURCES: &[Named] = &[
    ("00000003-0000-0000-c000-000000000000", "Microsoft Graph"),
    ("00000002-0000-0ff1-ce00-000000000000", "Office 365 Exchange Online"),
    ("797f4846-ba00-4fd7-ba43-dac1f8f63013", "Windows Azure Service Management API"),
    ("5e3ce6c0-2b1f-4285-8d4b-75ee78787346", "Example Payroll"),
];

/// Service principals: their id, app id, name.
pub(super) const SERVICES: &[(&str, &str, &str)] = &[
    ("a1f0c3d2-0001-4b6e-8e2f-5d7c9b8a0001", "b2e1d4c3-0001-4c7f-9f30-6e8dac9b0001", "example-backup"),
    ("a1f0c3d2-0002-4b6e-8e2f-5d7c9b8a0002", "b2e1d4c3-0002-4c7f-9f30-6e8dac9b0002", "example-ci (main)"),
    ("a1f0c3d2-0003-4b6e-8e2f-5d7c9b8a0003", "b2e1d4c3-0003-4c7f-9f30-6e8dac9b0003", "Überwachung"),
];

pub(super) struct Place {
    pub(super) city: &'static str,
    pub(super) state: &'static str,
    pub(super) country: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

pub(super) const PLACES: &[Place] = &[
    Place { city: "Rotterdam", state: "Zuid-Holland", country: "NL", latitude: 51.9225, longitude: 4.4792 },
    Place { city: "Zürich", state: "Zürich", country: "CH", latitude: 47.3717, longitude: 8.5423 },
    Place { city: "Portland", state: "Oregon", country: "US", latitude: 45.5072, longitude: -122.69 },
    Place { city: "São Paulo", state: "São Paulo", country: "BR", latitude: -23.5505, longitude: -46.6333 },
];

pub(super) struct Agent {
    pub(super) text: &'static str,
    pub(super) system: &'static str,
    pub(super) browser: &'static str,
}

pub(super) const AGENTS: &[Agent] = &[
    Agent {
        text: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        system: "Windows10",
        browser: "Edge 142.0.0",
    },
    Agent {
        text: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        system: "Linux",
        browser: "Firefox 144.0",
    },
    Agent {
        text: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        system: "Ios 18.5",
        browser: "Mobile Safari 18.5",
    },
];

pub(super) fn address(rng: &mut Rng) -> String {
    let host = 1 + rng.below(254);
    match rng.below(8) {
        0 => format!("2001:db8:{:x}::{:x}", rng.below(0x1_0000), 1 + rng.below(0xfffe)),
        1 | 2 => format!("192.0.2.{host}"),
        3 | 4 => format!("203.0.113.{host}"),
        _ => format!("198.51.100.{host}"),
    }
}
