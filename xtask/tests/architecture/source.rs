//! One source file, as far as the building rules look at it. Code under `#[cfg(test)]` is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, TraitItemFn, UseTree};

/// Folders with production code.
const FOLDERS: [&str; 6] = ["src", "agent/src", "probe/src", "protocol/src", "winfleet/src", "xtask/src"];

/// What the rules need of a file.
pub struct Source {
    /// Relative to the checkout.
    pub path: String,
    /// The operator's room (first folder or file below `src/`); empty for `main.rs`, `lib.rs` and other packages.
    pub room: String,
    /// Lines before the tests.
    pub production_lines: usize,
    /// Every path that is named, `use` or inline; `crate` and `super` are kept.
    pub paths: Vec<String>,
    /// Every function with a body: name and lines.
    pub functions: Vec<(String, usize)>,
    /// The file's own module, from the crate's root.
    module: Vec<String>,
}

/// All production files of the workspace.
pub fn workspace_sources() -> Vec<Source> {
    let root = xtask::workspace::root();
    let mut sources = Vec::new();
    for folder in FOLDERS {
        collect(root, &root.join(folder), &mut sources);
    }
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.file_stem().is_some_and(|stem| stem == "tests") {
            continue; // the file of a `#[cfg(test)] mod tests;`
        }
        if entry.is_dir() {
            collect(root, &entry, sources);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let path = entry.strip_prefix(root).unwrap().display().to_string();
            let text = fs::read_to_string(&entry).unwrap();
            sources.push(Source::parse(&path, &text).unwrap_or_else(|error| panic!("{path}: {error}")));
        }
    }
}

impl Source {
    /// Reads a file of Rust.
    pub fn parse(path: &str, text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut seen = Seen::default();
        seen.visit_file(&file);
        let module = module(path);
        let is_operator = path.starts_with("src/") && !matches!(path, "src/main.rs" | "src/lib.rs");
        let room = module.first().filter(|_| is_operator).cloned().unwrap_or_default();
        let production_lines = text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]")).count();
        Ok(Self { path: path.to_owned(), room, production_lines, paths: seen.paths, functions: seen.functions, module })
    }

    /// The rooms that this file names, by `crate::` or by enough `super::`.
    pub fn imported_rooms(&self) -> BTreeSet<String> {
        self.paths.iter().filter_map(|path| self.room_of(path)).collect()
    }

    fn room_of(&self, path: &str) -> Option<String> {
        let mut parts = path.split("::").peekable();
        if parts.peek() == Some(&"crate") {
            return parts.nth(1).map(str::to_owned);
        }
        let mut base = self.module.clone();
        parts.peek().filter(|part| **part == "super")?;
        while parts.next_if_eq(&"super").is_some() {
            base.pop();
        }
        base.first().cloned().or_else(|| parts.next().map(str::to_owned))
    }
}

/// `src/act/drain.rs` is the module `act::drain`, `src/act/mod.rs` is `act`.
fn module(path: &str) -> Vec<String> {
    let inner = path.split_once("src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
    inner.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}

#[derive(Default)]
struct Seen {
    paths: Vec<String>,
    functions: Vec<(String, usize)>,
}

impl Seen {
    /// From signature to closing brace, without docs and attributes.
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (first, last) = (signature.span().start().line, body.span().end().line);
        self.functions.push((signature.ident.to_string(), last - first + 1));
    }

    fn use_tree(&mut self, prefix: &str, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.use_tree(&format!("{prefix}{}::", path.ident), &path.tree),
            UseTree::Name(name) => self.paths.push(format!("{prefix}{}", name.ident)),
            UseTree::Rename(name) => self.paths.push(format!("{prefix}{}", name.ident)),
            UseTree::Glob(_) => self.paths.push(format!("{prefix}*")),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(prefix, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.use_tree("", &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.paths.push(parts.join("::"));
        visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}
