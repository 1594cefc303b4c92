//! The container image, as an OCI image layout. It needs no daemon and no tool but tar.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::architecture::Architecture;
use super::binary::source_date;
use super::package::{self, Compression};
use super::{VERSION, copy, empty, output};

/// The roots of this machine, which the image needs to verify servers.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The user in the image, which owns nothing.
const USER: &str = "65534:65534";

/// Writes the image of every architecture as one archive of a layout, for `podman load`, `skopeo copy` and registries.
pub(super) fn write(
    binaries: &[(Architecture, PathBuf)],
    scratch: &Path,
    folder: &Path,
    compression: Compression,
    log: Option<&File>,
) -> Result<(), String> {
    let layout = scratch.join("image");
    empty(&layout)?;
    let mut manifests = Vec::new();
    for (architecture, binary) in binaries {
        manifests.push(manifest(*architecture, binary, &layout, scratch, compression, log)?);
    }
    let manifests = manifests.join(",");
    super::write(&layout.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{manifests}]}}"#))?;
    super::write(&layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    check(&layout)?;
    package::tar(
        &layout,
        "s,^\\./,,",
        &folder.join(format!("starttls-{VERSION}-oci.tar.gz")),
        compression,
        log,
    )
}

/// Writes the blobs of one image, and returns the descriptor of its manifest.
fn manifest(
    architecture: Architecture,
    binary: &Path,
    layout: &Path,
    scratch: &Path,
    compression: Compression,
    log: Option<&File>,
) -> Result<String, String> {
    let architecture = architecture.name;
    let files = scratch.join("image-files");
    empty(&files)?;
    copy(binary, &files.join("starttls"))?;
    copy(Path::new(ROOTS), &files.join("etc/ssl/certs/ca-certificates.crt"))?;
    let layer = scratch.join("layer.tar.gz");
    package::tar(&files, "s,^\\./,,", &layer, compression, log)?;
    let unpacked = output(Command::new("sh").args(["-c", "gzip -dc \"$1\" | sha256sum", "sh"]).arg(&layer))?;
    let diff = first_word(&unpacked);
    let date = output(Command::new("date").args(["-u", "+%FT%TZ", "-d", &format!("@{}", source_date()?)]))?;
    let date = date.trim();
    let config = format!(
        r#"{{"created":"{date}","architecture":"{architecture}","os":"linux","config":{{"User":"{USER}","Entrypoint":["/starttls"],"Cmd":["--help"],"WorkingDir":"/","StopSignal":"SIGTERM","Labels":{{"org.opencontainers.image.title":"starttls","org.opencontainers.image.version":"{VERSION}","org.opencontainers.image.licenses":"MIT OR Apache-2.0"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff}"]}},"history":[{{"created":"{date}","created_by":"cargo xtask dist"}}]}}"#
    );
    let layer = fs::read(&layer).map_err(|e| format!("{}: {e}", layer.display()))?;
    let layer = blob(layout, &layer, "application/vnd.oci.image.layer.v1.tar+gzip")?;
    let config = blob(layout, config.as_bytes(), "application/vnd.oci.image.config.v1+json")?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layer}]}}"#);
    let manifest = blob(layout, manifest.as_bytes(), media_type)?;
    Ok(format!(
        r#"{},"platform":{{"architecture":"{architecture}","os":"linux"}},"annotations":{{"org.opencontainers.image.ref.name":"{VERSION}"}}}}"#,
        manifest.trim_end_matches('}')
    ))
}

/// Follows the layout from its index to the files of the layer with the names, digests and sizes that it contains, as a
/// container engine does. Python reads the JSON: it is a second implementation, and the tests need it anyway.
const CHECK: &str = r#"
import hashlib, io, json, sys, tarfile, gzip
def blob(descriptor):
    data = open(f"blobs/{descriptor['digest'].replace(':', '/')}", "rb").read()
    assert len(data) == descriptor["size"], descriptor
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"], descriptor
    return data
assert json.load(open("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
for descriptor in json.load(open("index.json"))["manifests"]:
    manifest = json.loads(blob(descriptor))
    config = json.loads(blob(manifest["config"]))
    assert config["architecture"] == descriptor["platform"]["architecture"], descriptor
    assert config["config"]["User"] not in ("", "0", "root"), config
    layer = gzip.decompress(blob(manifest["layers"][0]))
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()], config
    files = {entry.name: entry for entry in tarfile.open(fileobj=io.BytesIO(layer)) if entry.isfile()}
    assert sorted(files) == ["etc/ssl/certs/ca-certificates.crt", "starttls"], files
    assert files["starttls"].mode == 0o755 and all(entry.uid == 0 for entry in files.values()), files
"#;

fn check(layout: &Path) -> Result<(), String> {
    output(Command::new("python3").args(["-c", CHECK]).current_dir(layout)).map(drop)
}

/// Writes a file under its digest, and returns its descriptor.
fn blob(layout: &Path, contents: &[u8], media_type: &str) -> Result<String, String> {
    let unnamed = layout.join("blobs/sha256/unnamed");
    super::write(&unnamed, contents)?;
    let sum = output(Command::new("sha256sum").arg(&unnamed))?;
    let digest = first_word(&sum);
    let named = unnamed.with_file_name(digest);
    fs::rename(&unnamed, &named).map_err(|e| format!("{}: {e}", named.display()))?;
    let size = contents.len();
    Ok(format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}"#))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}
