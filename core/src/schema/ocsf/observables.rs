//! `observables`: what of a document analysts search for, each under the path where it stands.

use crate::event::is_ip;
use crate::json::Text;
use crate::schema::Writer;
use smallvec::SmallVec;

/// A sort of observable: what stands between its name and its value, ready to be written.
pub(super) type Sort = &'static str;

macro_rules! sorts {
    ($($name:ident = $id:literal, $caption:literal;)+) => {
        $(pub(super) const $name: Sort =
            concat!("\",\"type_id\":", $id, ",\"type\":\"", $caption, "\",\"value\":");)+
    };
}

sorts! {
    HOSTNAME = 1, "Hostname";
    IP = 2, "IP Address";
    USER_NAME = 4, "User Name";
    EMAIL = 5, "Email Address";
    FILE_NAME = 7, "File Name";
    RESOURCE = 10, "Resource UID";
    USER_AGENT = 16, "HTTP User-Agent";
    USER_UID = 31, "User: Unique ID";
    GROUP_NAME = 32, "Group: Name";
    GROUP_UID = 33, "Group: Unique ID";
    DEVICE_UID = 47, "Device: Unique ID";
}

/// No document has more of them than this.
const MOST: usize = 24;

/// Collected while a document is written.
#[derive(Debug)]
pub(super) struct Observables<'e, 'r> {
    found: SmallVec<[(Path, Sort, &'e Text<'r>); MOST]>,
}

/// Where something stands: the object, and its member.
pub(super) type Path = (&'static str, &'static str);

impl<'e, 'r> Observables<'e, 'r> {
    pub(super) fn new() -> Self {
        Self { found: SmallVec::new() }
    }

    pub(super) fn add(&mut self, object: &'static str, member: &'static str, sort: Sort, text: &'e Text<'r>) {
        if self.found.len() < MOST {
            self.found.push(((object, member), sort, text));
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        let open = out.open(",\"observables\":");
        for ((object, member), sort, text) in &self.found {
            out.put(",{\"name\":\"");
            out.put(object);
            out.put(".");
            out.put(member);
            out.put(sort);
            out.string(text);
            out.put("}");
        }
        out.close_array(open);
    }
}

/// The type `ip_t` has room for 40 characters.
pub(super) fn is_short(ip: &Text<'_>) -> bool {
    ip.len_at_most() <= 42
}

/// An address that the type takes.
pub(super) fn is_short_ip(text: &Text<'_>) -> bool {
    is_short(text) && is_ip(text)
}
