//! `observables`: what of a document analysts search for, each under the path where it stands.

use crate::event::is_ip;
use crate::json::Text;
use crate::schema::Writer;

/// A sort of observable, with its caption.
pub(super) type Sort = (u8, &'static str);

pub(super) const HOSTNAME: Sort = (1, "Hostname");
pub(super) const IP: Sort = (2, "IP Address");
pub(super) const USER_NAME: Sort = (4, "User Name");
pub(super) const EMAIL: Sort = (5, "Email Address");
pub(super) const FILE_NAME: Sort = (7, "File Name");
pub(super) const RESOURCE: Sort = (10, "Resource UID");
pub(super) const USER_AGENT: Sort = (16, "HTTP User-Agent");
pub(super) const USER_UID: Sort = (31, "User: Unique ID");
pub(super) const GROUP_NAME: Sort = (32, "Group: Name");
pub(super) const GROUP_UID: Sort = (33, "Group: Unique ID");
pub(super) const DEVICE_UID: Sort = (47, "Device: Unique ID");

/// No document has more of them than this.
const MOST: usize = 24;

/// Collected while a document is written.
#[derive(Debug)]
pub(super) struct Observables<'e, 'r> {
    found: [Option<(Path, Sort, &'e Text<'r>)>; MOST],
    count: usize,
}

/// Where something stands: the object, and its member.
pub(super) type Path = (&'static str, &'static str);

impl<'e, 'r> Observables<'e, 'r> {
    pub(super) const fn new() -> Self {
        Self { found: [None; MOST], count: 0 }
    }

    pub(super) fn add(&mut self, object: &'static str, member: &'static str, sort: Sort, text: &'e Text<'r>) {
        if let Some(place) = self.found.get_mut(self.count) {
            *place = Some(((object, member), sort, text));
            self.count += 1;
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        let open = out.open(",\"observables\":");
        for ((object, member), (id, caption), text) in self.found.iter().flatten() {
            out.put(",{\"name\":\"");
            out.put(object);
            out.put(".");
            out.put(member);
            out.put("\",\"type_id\":");
            out.number(i64::from(*id));
            out.put(",\"type\":\"");
            out.put(caption);
            out.put("\",\"value\":");
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
