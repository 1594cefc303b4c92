//! No file imports a file that imports it, and no top-level module of a crate a module that imports it: two such files
//! can only be understood, tested and moved together. A folder's `mod.rs` and the files below it may share what `mod.rs`
//! defines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Item, UseTree};

use crate::support::{complain, root};

/// A path of module names, from the root of the crate.
type Module = Vec<String>;

/// What one file contains that matters here.
#[derive(Default)]
struct Contents {
    /// The names that `use` brings into the file, with the paths that they stand for.
    bindings: HashMap<String, Vec<String>>,
    /// Every path that the file mentions.
    mentions: BTreeSet<Vec<String>>,
}

#[test]
fn no_file_imports_a_file_that_imports_it() {
    let mut circles = BTreeSet::new();
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let files = modules(&folder.join("src"));
        let (mut edges, mut rooms) = (BTreeSet::new(), BTreeSet::new());
        for (importer, contents) in &files {
            for imported in imports(importer, contents, &files) {
                if let ([importer, ..], [imported, ..]) = (importer.as_slice(), imported.as_slice()) {
                    rooms.insert((importer.clone(), imported.clone()));
                }
                edges.insert((importer.join("::"), imported.join("::")));
            }
        }
        for (one, other) in edges.iter().chain(&rooms) {
            let is_circle = [&edges, &rooms].iter().any(|it| it.contains(&(other.clone(), one.clone())));
            let is_folder =
                |folder: &str, file: &str| folder.is_empty() || file.starts_with(&format!("{folder}::"));
            if one < other && is_circle && !is_folder(one, other) {
                circles.insert(format!("{name}: crate::{one} and crate::{other} import each other"));
            }
        }
    }
    complain(&circles.into_iter().collect::<Vec<_>>());
}

/// Returns the files of one crate. Unit tests are left out: they may import whatever they test.
fn modules(folder: &Path) -> BTreeMap<Module, Contents> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let relative = path.strip_prefix(folder).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if module.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
                module.pop();
            }
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut contents = Contents::default();
            contents.visit_file(&file);
            found.insert(module, contents);
        }
    }
    found
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        let is_test = attributes.iter().any(|it| {
            let condition = it.path().is_ident("cfg").then(|| it.parse_args::<syn::Path>().ok()).flatten();
            condition.is_some_and(|it| it.is_ident("test"))
        });
        if !is_test {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.bind(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.mentions.insert(path.segments.iter().map(|it| it.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

impl Contents {
    fn bind(&mut self, tree: &UseTree, mut path: Vec<String>) {
        let name = match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                return self.bind(&tree.tree, path);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.bind(tree, path.clone()));
            }
            UseTree::Glob(_) => {
                path.push(String::from("*"));
                String::new()
            }
            UseTree::Rename(tree) => {
                path.push(tree.ident.to_string());
                tree.rename.to_string()
            }
            UseTree::Name(tree) => {
                path.push(tree.ident.to_string());
                if tree.ident == "self" { path[path.len() - 2].clone() } else { tree.ident.to_string() }
            }
        };
        self.mentions.insert(path.clone());
        self.bindings.insert(name, path);
    }
}

/// Returns the files that hold what this file mentions.
fn imports(module: &Module, contents: &Contents, files: &BTreeMap<Module, Contents>) -> BTreeSet<Module> {
    let mut found: BTreeSet<_> =
        contents.mentions.iter().filter_map(|path| holder(module, path, files, 0)).collect();
    found.remove(module);
    found
}

/// Returns the file that holds what a path in this module stands for; `None` for another crate's items.
/// Re-exports are followed to the file that has the definition.
fn holder(
    module: &Module,
    path: &[String],
    files: &BTreeMap<Module, Contents>,
    depth: usize,
) -> Option<Module> {
    let mut at = module.clone();
    let mut rest = path;
    let mut is_anchored = false;
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => break,
        }
        (rest, is_anchored) = (behind, true);
    }
    while let Some((first, others)) = rest.split_first() {
        let child: Module = at.iter().chain([first]).cloned().collect();
        let contents = files.get(&at)?;
        if files.contains_key(&child) {
            (at, rest, is_anchored) = (child, others, true);
        } else if let Some(bound) = contents.bindings.get(first).filter(|it| depth < 8 && *it != path) {
            let path: Vec<_> = bound.iter().chain(others).cloned().collect();
            return holder(&at, &path, files, depth + 1);
        } else {
            break;
        }
    }
    is_anchored.then_some(at)
}
