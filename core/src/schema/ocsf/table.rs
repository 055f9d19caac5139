//! Ids and captions of the classes and their activities, one table a version. Captions are the schema's own.

use crate::event::{Activity, Event, TargetKind};

/// A version of OCSF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// 1.8.0
    V1_8,
    /// 1.9.0
    V1_9,
}

/// The class that an event is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Base,
    Finding,
    /// What happened to an account.
    Account,
    Authentication,
    AuthorizeSession,
    Entity,
    /// What an account may do.
    Access,
    Group,
    Api,
    File,
}

/// A class.
#[derive(Debug)]
pub(super) struct Class {
    /// `class_uid`, for tests.
    #[cfg(test)]
    uid: u16,
    /// Its caption, for tests.
    #[cfg(test)]
    caption: &'static str,
    /// `activity_id`, its caption, and both with all that follows from them, ready to be written.
    pub(super) activities: &'static [(u8, &'static str, &'static str)],
    /// What follows from activity 99, whose name is the vendor's.
    pub(super) other: &'static str,
}

/// `class!(category "Caption", class "Caption", type of 99; id type "Caption", …)`
macro_rules! class {
    ($category:literal $category_name:literal, $uid:literal $name:literal, $other:literal; $($id:literal $kind:literal $caption:literal),* $(,)?) => {
        Class {
            #[cfg(test)]
            uid: $uid,
            #[cfg(test)]
            caption: $name,
            activities: &[$((
                $id,
                $caption,
                class!(@ $category, $category_name, $uid, $name, $kind, $caption,
                    concat!(",\"activity_id\":", $id, ",\"activity_name\":\"", $caption, "\"")),
            )),*],
            other: class!(@ $category, $category_name, $uid, $name, $other, "Other", ",\"activity_id\":99"),
        }
    };
    (@ $category:expr, $category_name:expr, $uid:expr, $name:expr, $kind:expr, $caption:expr, $activity:expr) => {
        concat!(
            ",\"category_uid\":", $category, ",\"category_name\":\"", $category_name,
            "\",\"class_uid\":", $uid, ",\"class_name\":\"", $name,
            "\",\"type_uid\":", $kind, ",\"type_name\":\"", $name, ": ", $caption, "\"", $activity,
        )
    };
}

const BASE: Class = class!(0 "Uncategorized", 0 "Base Event", 99;);

const FINDING: Class = class!(2 "Findings", 2004 "Detection Finding", 200499;
    1 200401 "Create", 2 200402 "Update", 3 200403 "Close");

const ACCOUNT_CHANGE: Class = class!(3 "Identity & Access Management", 3001 "Account Change", 300199;
    1 300101 "Create", 2 300102 "Enable", 3 300103 "Password Change", 4 300104 "Password Reset",
    5 300105 "Disable", 6 300106 "Delete", 9 300109 "Lock", 10 300110 "MFA Factor Enable",
    11 300111 "MFA Factor Disable", 12 300112 "Unlock");

const USER_MANAGEMENT: Class = class!(3 "Identity & Access Management", 3007 "User Management", 300799;
    1 300701 "Create", 2 300702 "Update", 3 300703 "Delete", 4 300704 "Enable", 5 300705 "Disable",
    6 300706 "Lock", 7 300707 "Unlock", 8 300708 "Password Change", 9 300709 "Password Reset",
    12 300712 "Enable MFA Factors", 13 300713 "Disable MFA Factors", 14 300714 "Assign Privileges",
    15 300715 "Remove Privileges", 16 300716 "Assign Roles", 17 300717 "Remove Roles");

const AUTHENTICATION: Class = class!(3 "Identity & Access Management", 3002 "Authentication", 300299;
    1 300201 "Logon", 2 300202 "Logoff", 6 300206 "Preauth", 7 300207 "Account Switch");

const AUTHORIZE_1_8: Class = class!(3 "Identity & Access Management", 3003 "Authorize Session", 300399;
    1 300301 "Assign Privileges", 2 300302 "Assign Groups");

const AUTHORIZE_1_9: Class = class!(3 "Identity & Access Management", 3003 "Authorize Session", 300399;
    1 300301 "Assign Privileges", 2 300302 "Assign Groups", 3 300303 "Assign Roles");

const ENTITY: Class = class!(3 "Identity & Access Management", 3004 "Entity Management", 300499;
    1 300401 "Create", 2 300402 "Read", 3 300403 "Update", 4 300404 "Delete", 6 300406 "Enroll",
    7 300407 "Unenroll", 8 300408 "Enable", 9 300409 "Disable", 10 300410 "Activate",
    11 300411 "Deactivate", 12 300412 "Suspend", 13 300413 "Resume");

const USER_ACCESS: Class = class!(3 "Identity & Access Management", 3005 "User Access Management", 300599;
    1 300501 "Assign Privileges", 2 300502 "Revoke Privileges");

const GROUP_1_8: Class = class!(3 "Identity & Access Management", 3006 "Group Management", 300699;
    1 300601 "Assign Privileges", 2 300602 "Revoke Privileges", 3 300603 "Add User", 4 300604 "Remove User",
    5 300605 "Delete", 6 300606 "Create");

const GROUP_1_9: Class = class!(3 "Identity & Access Management", 3006 "Group Management", 300699;
    1 300601 "Assign Privileges", 2 300602 "Revoke Privileges", 3 300603 "Add User", 4 300604 "Remove User",
    5 300605 "Delete", 6 300606 "Create", 9 300609 "Update", 12 300612 "Assign Roles",
    13 300613 "Remove Roles");

const API: Class = class!(6 "Application Activity", 6003 "API Activity", 600399;
    1 600301 "Create", 2 600302 "Read", 3 600303 "Update", 4 600304 "Delete");

const FILE: Class = class!(6 "Application Activity", 6006 "File Hosting Activity", 600699;
    1 600601 "Upload", 2 600602 "Download", 3 600603 "Update", 4 600604 "Delete", 5 600605 "Rename",
    6 600606 "Copy", 7 600607 "Move", 8 600608 "Restore", 9 600609 "Preview", 12 600612 "Share",
    13 600613 "Unshare", 14 600614 "Open");

/// No activity of the class fits: the vendor's own word stands beside it.
pub(super) const OTHER: u8 = 99;

impl Version {
    /// `metadata.version`
    pub(super) const fn number(self) -> &'static str {
        match self {
            Self::V1_8 => "1.8.0",
            Self::V1_9 => "1.9.0",
        }
    }

    /// The class of a form.
    pub(super) const fn class(self, form: Form) -> &'static Class {
        match (form, self) {
            (Form::Base, _) => &BASE,
            (Form::Finding, _) => &FINDING,
            (Form::Account, Self::V1_8) => &ACCOUNT_CHANGE,
            (Form::Account | Form::Access, Self::V1_9) => &USER_MANAGEMENT,
            (Form::Authentication, _) => &AUTHENTICATION,
            (Form::AuthorizeSession, Self::V1_8) => &AUTHORIZE_1_8,
            (Form::AuthorizeSession, Self::V1_9) => &AUTHORIZE_1_9,
            (Form::Entity, _) => &ENTITY,
            (Form::Access, Self::V1_8) => &USER_ACCESS,
            (Form::Group, Self::V1_8) => &GROUP_1_8,
            (Form::Group, Self::V1_9) => &GROUP_1_9,
            (Form::Api, _) => &API,
            (Form::File, _) => &FILE,
        }
    }

    /// `activity_id` of an event in a form.
    pub(super) fn activity(self, form: Form, event: &Event<'_>) -> u8 {
        let new = self == Self::V1_9;
        let role = new && event.targets.iter().any(|target| target.kind == TargetKind::Role);
        let activity = event.kind.activity;
        match form {
            Form::Base => OTHER,
            Form::Finding => match activity {
                Activity::Update => 2,
                Activity::Close => 3,
                _ => 1,
            },
            Form::Account | Form::Access if new => match activity {
                Activity::Create => 1,
                Activity::Update => 2,
                Activity::Delete => 3,
                Activity::Enable | Activity::Activate | Activity::Resume => 4,
                Activity::Disable | Activity::Deactivate | Activity::Suspend => 5,
                Activity::Lock => 6,
                Activity::Unlock => 7,
                Activity::PasswordChange => 8,
                Activity::PasswordReset => 9,
                Activity::FactorEnable | Activity::Enroll => 12,
                Activity::FactorDisable | Activity::Unenroll => 13,
                Activity::Grant | Activity::Add => 14 + 2 * u8::from(role),
                Activity::Revoke | Activity::Remove => 15 + 2 * u8::from(role),
                _ => OTHER,
            },
            Form::Account => match activity {
                Activity::Create => 1,
                Activity::Enable | Activity::Activate | Activity::Resume => 2,
                Activity::PasswordChange => 3,
                Activity::PasswordReset => 4,
                Activity::Disable | Activity::Deactivate | Activity::Suspend => 5,
                Activity::Delete => 6,
                Activity::Lock => 9,
                Activity::FactorEnable | Activity::Enroll => 10,
                Activity::FactorDisable | Activity::Unenroll => 11,
                Activity::Unlock => 12,
                _ => OTHER,
            },
            Form::Authentication => match activity {
                Activity::Logon => 1,
                Activity::Logoff => 2,
                Activity::Preauth => 6,
                Activity::Switch => 7,
                _ => OTHER,
            },
            Form::AuthorizeSession => match activity {
                Activity::Grant if role => 3,
                Activity::Grant => 1,
                Activity::Add => 2,
                _ => OTHER,
            },
            Form::Entity => match activity {
                Activity::Create => 1,
                Activity::Read => 2,
                Activity::Update => 3,
                Activity::Delete => 4,
                Activity::Enroll => 6,
                Activity::Unenroll => 7,
                Activity::Enable => 8,
                Activity::Disable => 9,
                Activity::Activate => 10,
                Activity::Deactivate => 11,
                Activity::Suspend => 12,
                Activity::Resume => 13,
                _ => OTHER,
            },
            Form::Access => match activity {
                Activity::Grant | Activity::Add | Activity::Create => 1,
                Activity::Revoke | Activity::Remove | Activity::Delete => 2,
                _ => OTHER,
            },
            Form::Group => match activity {
                Activity::Grant if role => 12,
                Activity::Grant => 1,
                Activity::Revoke if role => 13,
                Activity::Revoke => 2,
                Activity::Add => 3,
                Activity::Remove => 4,
                Activity::Delete => 5,
                Activity::Create => 6,
                Activity::Update if new => 9,
                _ => OTHER,
            },
            Form::Api => match activity {
                Activity::Create | Activity::Grant | Activity::Add => 1,
                Activity::Read => 2,
                Activity::Update => 3,
                Activity::Delete | Activity::Revoke | Activity::Remove => 4,
                _ => OTHER,
            },
            Form::File => match activity {
                Activity::Create | Activity::Upload => 1,
                Activity::Download => 2,
                Activity::Update => 3,
                Activity::Delete => 4,
                Activity::Rename => 5,
                Activity::Copy => 6,
                Activity::Move => 7,
                Activity::Restore => 8,
                Activity::Preview => 9,
                Activity::Share => 12,
                Activity::Unshare => 13,
                Activity::Read => 14,
                _ => OTHER,
            },
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::panic, clippy::print_stderr, reason = "tests")]
mod tests {
    use super::*;

    const FORMS: [Form; 10] = [
        Form::Base,
        Form::Finding,
        Form::Account,
        Form::Authentication,
        Form::AuthorizeSession,
        Form::Entity,
        Form::Access,
        Form::Group,
        Form::Api,
        Form::File,
    ];

    #[test]
    fn what_follows_from_class_and_activity_is_right() {
        for version in [Version::V1_8, Version::V1_9] {
            for form in FORMS {
                let Class { uid, caption, activities, other } = version.class(form);
                let other = (OTHER, "Other", *other);
                for (id, activity, head) in activities.iter().copied().chain([other]) {
                    let head: serde_json::Value =
                        serde_json::from_str(&format!("{{{}}}", head.trim_start_matches(','))).expect("JSON");
                    assert_eq!(head["activity_id"], id);
                    assert_eq!(
                        head["type_uid"],
                        u32::from(*uid) * 100 + u32::from(id),
                        "{caption}: {activity}"
                    );
                    assert_eq!(head["category_uid"], uid / 1000);
                    assert_eq!(head["type_name"], format!("{caption}: {activity}"));
                }
            }
        }
    }

    /// The schema itself, where it lies beside the project.
    #[test]
    fn captions_are_the_schemas() {
        for (version, file) in
            [(Version::V1_8, "ocsf_classes.json"), (Version::V1_9, "ocsf_classes_1_9_dev.json")]
        {
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/schemas").join(file);
            let Ok(text) = std::fs::read(&path) else {
                eprintln!("SKIPPED: {} is not here", path.display());
                return;
            };
            let schema: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            for form in FORMS {
                let class = version.class(form);
                let theirs = schema["classes"]
                    .as_object()
                    .expect("classes")
                    .values()
                    .find(|theirs| theirs["uid"] == class.uid)
                    .unwrap_or_else(|| panic!("{version:?} has no class {}", class.uid));
                assert_eq!(theirs["caption"], class.caption);
                let head: serde_json::Value =
                    serde_json::from_str(&format!("{{{}}}", class.other.trim_start_matches(',')))
                        .expect("JSON");
                assert_eq!(
                    theirs["attributes"]["category_uid"]["enum"][head["category_uid"].to_string()],
                    head["category_name"]
                );
                for (id, caption, _) in class.activities {
                    assert_eq!(
                        theirs["attributes"]["activity_id"]["enum"][id.to_string()],
                        *caption,
                        "{version:?} {} {id}",
                        class.uid
                    );
                }
            }
        }
    }
}
