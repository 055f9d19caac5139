//! The files: which ones there are, and all of them as one tree.

use super::error::ConfigError;
use super::tree::{self, Node, Origin};
use super::values::{Leaf, is_name};
use std::path::{Path, PathBuf};

/// All files and the environment as one tree, and the files' names. `None`: an error keeps us from going on.
pub(super) fn read(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
    errors: &mut Vec<ConfigError>,
) -> Option<(Node, Vec<PathBuf>)> {
    let env = tree::read_env(env, errors);
    let main = read_file(path, errors)?;
    let include = match env.get("include").or_else(|| main.get("include")) {
        None => Vec::new(),
        Some(node) => match <Vec<String> as Leaf>::read(&node.json()) {
            Ok(patterns) => {
                let base = path.parent().unwrap_or(Path::new(""));
                included(base, &patterns, &node.origin, errors)
            }
            // Told with all other keys of the root.
            Err(_) => Vec::new(),
        },
    };
    let mut files = vec![path.to_owned()];
    let mut layers = vec![main.clone()];
    let mut seen = main;
    for file in include {
        let Some(tenant) = tenant_of(&file, errors) else { continue };
        let Some(keys) = read_file(&file, errors) else { continue };
        let origin = keys.origin.clone();
        let mut tenants = Node::table(origin.clone());
        tenants.insert(&tenant, keys);
        let mut layer = Node::table(origin);
        layer.insert("tenant", tenants);
        tree::conflicts(&seen, &layer, errors);
        seen.overlay(layer.clone());
        layers.push(layer);
        files.push(file);
    }
    // What two files disagree on has no right answer, and what is missing would be reported as missing.
    if !errors.is_empty() {
        return None;
    }
    layers.push(env);
    match tree::merge(&layers) {
        Ok(root) => Some((root, files)),
        Err(error) => {
            errors.push(ConfigError::file(path.display().to_string(), error.to_string()));
            None
        }
    }
}

fn read_file(path: &Path, errors: &mut Vec<ConfigError>) -> Option<Node> {
    let name = path.display().to_string();
    let text = match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            errors.push(ConfigError::file(name, "the file is not UTF-8 text"));
            return None;
        }
        Err(error) => {
            let next = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "; name another with --config, or write one: tidegate init okta --output FILE"
                }
                _ => "",
            };
            errors.push(ConfigError::file(name, format!("the file cannot be read: {error}{next}")));
            return None;
        }
    };
    match tree::read_toml(&name, &text) {
        Ok(node) => Some(node),
        Err(found) => {
            errors.extend(found);
            None
        }
    }
}

/// The files that the patterns name, each once, in order of patterns and then of names.
fn included(
    base: &Path,
    patterns: &[String],
    origin: &Origin,
    errors: &mut Vec<ConfigError>,
) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let whole = base.join(pattern);
        let refuse = |message: String| ConfigError::at(&["include"], Some(origin.to_string()), message);
        let (Some(dir), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str()))
        else {
            errors.push(refuse(format!("{pattern:?} names no file; accepted: \"tenants/*.toml\"")));
            continue;
        };
        if dir.to_string_lossy().contains('*') {
            errors
                .push(refuse(format!("{pattern:?} has a * in a directory; accepted: * in the file's name")));
            continue;
        }
        if !name.contains('*') {
            match std::fs::metadata(&whole) {
                Ok(_) => files.push(whole),
                Err(error) => errors.push(refuse(format!("{} cannot be read: {error}", whole.display()))),
            }
            continue;
        }
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let entries = match std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => {
                errors.push(refuse(format!("{} cannot be read: {error}", dir.display())));
                continue;
            }
        };
        let mut found: Vec<PathBuf> = entries
            .into_iter()
            .filter(|entry| entry.file_name().to_str().is_some_and(|file| fits(name, file)))
            .map(|entry| whole.with_file_name(entry.file_name()))
            .collect();
        found.sort();
        files.extend(found);
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

/// Whether a file's name fits a pattern with `*`. Hidden files (an editor's, usually) fit none.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn tenant_of(file: &Path, errors: &mut Vec<ConfigError>) -> Option<String> {
    match file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_name(stem)) {
        Some(stem) => Some(stem.to_owned()),
        None => {
            errors.push(ConfigError::file(
                file.display().to_string(),
                format!("the file's name {NOT_A_TENANT}"),
            ));
            None
        }
    }
}

const NOT_A_TENANT: &str =
    "is no name of a tenant; accepted: a small letter, then small letters, digits and underscores";
