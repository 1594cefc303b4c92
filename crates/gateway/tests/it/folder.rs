//! A temporary folder with the files that configurations refer to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use starttls_gateway::Config;
use starttls_lab::ca::{Authority, Issued, KeyKind, Leaf};
use tempfile::TempDir;

/// A temporary folder with certificates and their authority.
pub(crate) struct Folder {
    dir: TempDir,
    pub(crate) authority: Authority,
}

impl Folder {
    /// Creates a folder without files.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), authority: Authority::new().unwrap() }
    }

    /// Creates `mail.pem`, `mail.key`, `root.pem` and `password`, and `live` in the layout of Let's Encrypt's clients.
    pub(crate) fn new() -> Self {
        let folder = Self::empty();
        folder.issue(&["mail.example.com"], KeyKind::EcdsaP256).write_to(folder.path(), "mail").unwrap();
        folder.authority.write_to(folder.path()).unwrap();
        folder.write("password", "secret\n");
        folder.live("live/a.example.com", &["a.example.com", "www.example.com"]);
        folder.live("live/wild", &["*.example.com"]);
        folder.write("live/README", "this folder is a certificate client's");
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn issue(&self, names: &[&str], key: KeyKind) -> Issued {
        let dns = names.iter().map(|name| String::from(*name)).collect();
        self.authority.issue(&Leaf { dns, key, ..Leaf::default() }).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn live(&self, name: &str, names: &[&str]) {
        let issued = self.issue(names, KeyKind::EcdsaP256);
        self.write(&format!("{name}/fullchain.pem"), &issued.chain_pem);
        self.write(&format!("{name}/privkey.pem"), &issued.key_pem);
    }

    /// Parses a configuration in which `DIR` is this folder.
    pub(crate) fn parse(&self, text: &str) -> Result<Config, starttls_gateway::SetupError> {
        Config::parse(&text.replace("DIR", self.path().to_str().unwrap()), "gateway.toml")
    }
}
