//! The style and the script of the pages. Their names contain a digest, so that browsers can keep them.

use std::sync::OnceLock;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use starttls_report::html::STYLE;

const WEB_STYLE: &str = include_str!("assets/web.css");
const SCRIPT: &str = include_str!("assets/live.js");

/// A file that pages refer to.
#[derive(Debug)]
pub(crate) struct Asset {
    /// The path of its URL.
    pub(crate) path: String,
    pub(crate) media: &'static str,
    pub(crate) content: String,
}

impl Asset {
    fn new(extension: &str, media: &'static str, content: String) -> Self {
        let digest = HEXLOWER.encode(Sha256::digest(&content).get(..8).unwrap_or_default());
        Self { path: format!("/assets/{digest}.{extension}"), media, content }
    }
}

/// Returns the style of all pages.
pub(crate) fn style() -> &'static Asset {
    static ASSET: OnceLock<Asset> = OnceLock::new();
    ASSET.get_or_init(|| Asset::new("css", "text/css; charset=utf-8", format!("{STYLE}{WEB_STYLE}")))
}

/// Returns the script of a run in progress.
pub(crate) fn script() -> &'static Asset {
    static ASSET: OnceLock<Asset> = OnceLock::new();
    ASSET.get_or_init(|| Asset::new("js", "text/javascript; charset=utf-8", SCRIPT.to_owned()))
}

/// Returns the asset with this path.
pub(crate) fn asset(path: &str) -> Option<&'static Asset> {
    [style(), script()].into_iter().find(|asset| asset.path == path)
}
