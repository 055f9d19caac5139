//! Which names a table can bring into an ECS document: what rules may ask for.

use crate::event::{Field, Params, Part, Shape, Table};

/// The names under a namespace that a table writes, without counting what it does not know. Where anything may stand
/// below a name, it ends with `.*`; a list's positions are `*` too.
#[must_use]
pub fn names(table: &'static Table, namespace: &str) -> Vec<String> {
    let mut names = Vec::new();
    let at = match bare(table.under) {
        "" => namespace.to_owned(),
        under => format!("{namespace}.{under}"),
    };
    match table.layout {
        Some(layout) => parts(layout, table, &at, &mut names),
        None => fields(table.fields, &at, &mut names),
    }
    fields(table.part, &at, &mut names);
    if !table.unmapped.is_empty() {
        names.push(format!("{at}.{}.*", bare(table.unmapped)));
    }
    names
}

/// Whether one of these names is the one that is asked for; `*` in what is asked for stands for any part of it.
#[must_use]
pub fn has(names: &[String], asked: &str) -> bool {
    names.iter().any(|name| match name.strip_suffix(".*") {
        Some(open) => below(open, asked),
        None => same(name, asked),
    })
}

fn below(open: &str, asked: &str) -> bool {
    let open: Vec<&str> = open.split('.').collect();
    let asked: Vec<&str> = asked.split('.').collect();
    asked.len() >= open.len() && open.iter().zip(&asked).all(|(open, asked)| fits(open, asked))
}

fn same(name: &str, asked: &str) -> bool {
    let (mut name, mut asked) = (name.split('.'), asked.split('.'));
    loop {
        match (name.next(), asked.next()) {
            (None, None) => return true,
            // Everything below is asked for.
            (Some(_), Some("*")) => return true,
            (Some(name), Some(asked)) if fits(name, asked) => {}
            _ => return false,
        }
    }
}

fn fits(name: &str, asked: &str) -> bool {
    name == asked || name == "*" || asked == "*"
}

fn parts(of: &'static [Part], table: &'static Table, at: &str, names: &mut Vec<String>) {
    for part in of {
        match part {
            Part::Constant(text) => {
                let keys = text.split(",\"").filter_map(|member| member.split_once("\":"));
                names.extend(keys.map(|(key, _)| format!("{at}.{key}")));
            }
            Part::Of(label, _) | Part::Organisation { label, .. } | Part::Outcome(label, _) => {
                names.push(format!("{at}.{}", bare(label)));
            }
            Part::Member(member) => field(member, at, names),
            Part::Object(label, inner) => parts(inner, table, &format!("{at}.{}", bare(label)), names),
            Part::Record => fields(table.fields, at, names),
        }
    }
}

/// `name` of `,"name":`.
fn bare(label: &str) -> &str {
    label.trim_start_matches([',', '"']).trim_end_matches(['"', ':'])
}

fn fields(of: &'static [Field], at: &str, names: &mut Vec<String>) {
    for one in of {
        field(one, at, names);
    }
}

fn field(of: &'static Field, at: &str, names: &mut Vec<String>) {
    let name = format!("{at}.{}", of.name());
    match of.shape {
        Shape::In
        | Shape::Several
        | Shape::Stamp
        | Shape::Place
        | Shape::Coordinate
        | Shape::Gathered
        | Shape::Parts
        | Shape::Ignore(_) => {}
        Shape::Keyword
        | Shape::Words(_)
        | Shape::Integer
        | Shape::Long
        | Shape::Time
        | Shape::Boolean
        | Shape::Ip
        | Shape::Date
        | Shape::Inner(_)
        | Shape::Text => names.push(name),
        Shape::Address => names.extend([name, format!("{at}.port")]),
        Shape::Object(inner)
        | Shape::Wrapped(inner)
        | Shape::Opened(inner)
        | Shape::List(inner)
        | Shape::FlatList(inner) => fields(inner, &name, names),
        Shape::Params(Params { known: [], .. }) => names.push(format!("{name}.*")),
        Shape::Params(Params { known, .. }) => {
            for param in *known {
                let above = param.path.rsplit_once('.').map(|(above, _)| format!("{name}.{above}"));
                field(&param.field, above.as_deref().unwrap_or(&name), names);
            }
        }
        Shape::Positions(inner, _) => fields(inner, &format!("{name}.*"), names),
        Shape::Keyed | Shape::Maps | Shape::Map | Shape::Flat | Shape::Pairs | Shape::Details => {
            names.push(format!("{name}.*"));
        }
        Shape::Debug(inner, _) => {
            fields(inner.fields, &name, names);
            names.push(format!("{name}.flattened.*"));
            names.extend(
                ["risk_level", "risk_reasons", "risk_behaviors"].map(|risk| format!("{name}.{risk}")),
            );
        }
        // Its members are marked as written elsewhere, here.
        Shape::Group(inner) => {
            for member in inner {
                field(member, &name, names);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{field, label};

    static INNER: &[Field] = &[field!("displayName" => "display_name", Shape::Keyword)];
    static TABLE: Table = Table {
        fields: &[
            field!("id", Shape::Keyword),
            field!("secret", Shape::In),
            field!("target", Shape::Positions(INNER, 3)),
            field!("more", Shape::Flat),
        ],
        layout: Some(&[
            Part::Constant(",\"category\":\"Log\""),
            Part::Object(label!("log"), &[Part::Record]),
        ]),
        ..Table::EMPTY
    };

    #[test]
    fn what_a_table_can_write_is_known_without_a_record() {
        let names = names(&TABLE, "acme");
        for there in [
            "acme.category",
            "acme.log.id",
            "acme.log.target.0.display_name",
            "acme.log.target.*.display_name",
            "acme.log.target.*",
            "acme.log.more.any.thing",
        ] {
            assert!(has(&names, there), "{there}: {names:?}");
        }
        for missing in
            ["acme.log", "acme.id", "acme.log.secret", "acme.log.target.0.id", "acme.log.id.x", "log.id"]
        {
            assert!(!has(&names, missing), "{missing}: {names:?}");
        }
    }
}
