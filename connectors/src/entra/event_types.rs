//! What each activity of the directory's audit log is.
//!
//! The names are an open set that Microsoft compiles nowhere: those that matter for MFA and accounts are listed, the rest
//! is read by its category and operation.

use tidegate_core::event::{Activity, Categories, Class, Deed, Types};

/// What an activity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Which kind of thing happened.
    pub class: Class,
    /// What happened to it.
    pub activity: Activity,
    /// ECS categories.
    pub categories: Categories,
    /// ECS types, all of them expected for one of the categories.
    pub types: Types,
}

const fn meaning(class: Class, activity: Activity) -> Meaning {
    let (categories, who) = match class {
        Class::Account => (Categories::IAM, Types::USER),
        Class::Group => (Categories::IAM, Types::GROUP),
        Class::Access => (Categories::IAM, Types::ADMIN),
        Class::Entity => (Categories::CONFIGURATION, Types::empty()),
        _ => (Categories::empty(), Types::empty()),
    };
    let how = match activity {
        Activity::Create => Types::CREATION,
        Activity::Delete => Types::DELETION,
        Activity::Read => Types::ACCESS,
        _ => Types::CHANGE,
    };
    // `iam` knows no access, and what is of no category has no type.
    let types = match (class, activity) {
        (Class::Other, _) => Types::empty(),
        (Class::Account | Class::Group | Class::Access, Activity::Read) => who.with(Types::INFO),
        _ => who.with(how),
    };
    Meaning { class, activity, categories, types }
}

/// Activities by their names, in lower case and sorted; what is done with a factor, where it is about one.
pub const ACTIVITIES: &[(&str, Class, Activity, Option<Deed>)] = &[
    ("admin deleted security info", Class::Account, Activity::FactorDisable, Some(Deed::Remove)),
    ("admin registered security info", Class::Account, Activity::FactorEnable, Some(Deed::Enroll)),
    ("admin updated security info", Class::Account, Activity::Update, Some(Deed::Update)),
    ("change password (self-service)", Class::Account, Activity::PasswordChange, None),
    ("change user password", Class::Account, Activity::PasswordChange, None),
    (
        "create temporary access pass method for user",
        Class::Account,
        Activity::FactorEnable,
        Some(Deed::Enroll),
    ),
    ("delete user", Class::Account, Activity::Delete, None),
    ("disable account", Class::Account, Activity::Disable, None),
    ("disable strong authentication", Class::Account, Activity::FactorDisable, Some(Deed::Reset)),
    ("enable account", Class::Account, Activity::Enable, None),
    ("enable strong authentication", Class::Account, Activity::FactorEnable, Some(Deed::Enroll)),
    ("hard delete user", Class::Account, Activity::Delete, None),
    ("invite external user", Class::Account, Activity::Create, None),
    ("reset password (by admin)", Class::Account, Activity::PasswordReset, None),
    ("reset password (self-service)", Class::Account, Activity::PasswordReset, None),
    ("reset user password", Class::Account, Activity::PasswordReset, None),
    ("restore user", Class::Account, Activity::Enable, None),
    ("unlock user account (self-service)", Class::Account, Activity::Unlock, None),
    ("user changed default security info", Class::Account, Activity::Update, Some(Deed::Update)),
    ("user deleted security info", Class::Account, Activity::FactorDisable, Some(Deed::Remove)),
    (
        "user registered all required security info",
        Class::Account,
        Activity::FactorEnable,
        Some(Deed::Enroll),
    ),
    ("user registered security info", Class::Account, Activity::FactorEnable, Some(Deed::Enroll)),
];

/// What an activity is, and what it does with a factor.
#[must_use]
pub fn find(name: &str, category: &str, operation: &str) -> (Meaning, Option<Deed>) {
    let name = name.trim().to_lowercase();
    if let Ok(at) = ACTIVITIES.binary_search_by(|(known, ..)| (*known).cmp(&name))
        && let Some((_, class, activity, deed)) = ACTIVITIES.get(at)
    {
        return (meaning(*class, *activity), *deed);
    }
    let class = class(&name, category);
    (meaning(class, activity(&name, operation, class)), None)
}

/// The name goes before the category: members of groups are also added under `UserManagement`.
fn class(name: &str, category: &str) -> Class {
    if name.contains("member to role")
        || name.contains("member from role")
        || name.contains("role assignment")
    {
        return Class::Access;
    }
    if name.contains("group") && (name.contains("member") || name.contains("owner")) {
        return Class::Group;
    }
    match category {
        "UserManagement" => Class::Account,
        "GroupManagement" => Class::Group,
        "RoleManagement" | "EntitlementManagement" => Class::Access,
        "" => Class::Other,
        _ => Class::Entity,
    }
}

/// The operation, or the name's first word where there is none.
fn activity(name: &str, operation: &str, class: Class) -> Activity {
    let first = name.split_ascii_whitespace().next().unwrap_or_default();
    let operation = if operation.is_empty() { first.to_owned() } else { operation.to_ascii_lowercase() };
    let inside = name.contains("member") || name.contains("owner");
    match (operation.as_str(), class) {
        ("add" | "assign", Class::Access) => Activity::Grant,
        ("remove" | "delete" | "unassign", Class::Access) => Activity::Revoke,
        ("add" | "assign", Class::Group) if inside => Activity::Add,
        ("remove" | "delete" | "unassign", Class::Group) if inside => Activity::Remove,
        ("add" | "create" | "invite" | "register", _) => Activity::Create,
        ("delete" | "remove" | "hard", _) => Activity::Delete,
        ("get" | "read" | "recover" | "list" | "download", _) => Activity::Read,
        ("enable", _) => Activity::Enable,
        ("disable", _) => Activity::Disable,
        ("assign" | "unassign" | "update" | "set" | "change" | "consent", _) => Activity::Update,
        _ => Activity::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_activities_are_found_whatever_their_capitals() {
        assert!(ACTIVITIES.is_sorted_by_key(|(name, ..)| *name));
        assert!(ACTIVITIES.iter().all(|(name, ..)| *name == name.to_lowercase()));
        let (meaning, deed) = find("User registered security info ", "UserManagement", "Add");
        assert_eq!((meaning.class, meaning.activity), (Class::Account, Activity::FactorEnable));
        assert_eq!(deed, Some(Deed::Enroll));
        assert_eq!(meaning.types, Types::USER.with(Types::CHANGE));
    }

    #[test]
    fn others_are_read_by_name_category_and_operation() {
        for (name, category, operation, class, activity) in [
            ("Add user", "UserManagement", "Add", Class::Account, Activity::Create),
            ("Update user", "UserManagement", "Update", Class::Account, Activity::Update),
            ("Add member to group", "UserManagement", "", Class::Group, Activity::Add),
            ("Remove member from group", "GroupManagement", "Unassign", Class::Group, Activity::Remove),
            ("Delete group", "GroupManagement", "Delete", Class::Group, Activity::Delete),
            ("Add member to role", "RoleManagement", "Assign", Class::Access, Activity::Grant),
            ("Remove member from role", "RoleManagement", "Unassign", Class::Access, Activity::Revoke),
            ("Update conditional access policy", "Policy", "Update", Class::Entity, Activity::Update),
            ("Add device", "Device", "Add", Class::Entity, Activity::Create),
            ("Something new", "SomethingNew", "Frobnicate", Class::Entity, Activity::Other),
            ("", "", "", Class::Other, Activity::Other),
        ] {
            let (meaning, deed) = find(name, category, operation);
            assert_eq!((meaning.class, meaning.activity, deed), (class, activity, None), "{name}");
        }
        assert!(find("", "", "").0.categories.is_empty());
    }
}
