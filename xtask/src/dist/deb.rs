//! The Debian package. `dpkg-deb` is on every Debian system and needs no description of the package in a second format; its
//! packages are reproducible.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::architecture::Architecture;
use super::binary::{is_static, source_date};
use super::package::{Compression, SBOM, SHELLS};
use super::{copy, empty, files, output, write};
use crate::{process, root, setup};

const MAINTAINER: &str = "The starttls authors <starttls@users.noreply.invalid>";

/// The folders for the completion scripts, in the order of `SHELLS`.
const COMPLETIONS: [&str; 3] = [
    "usr/share/bash-completion/completions",
    "usr/share/zsh/vendor-completions",
    "usr/share/fish/vendor_completions.d",
];

/// Files in `contrib`, and where the package installs them.
const CONTRIB: &[(&str, &str)] = &[
    ("starttls-gateway.service", "lib/systemd/system/starttls-gateway.service"),
    ("starttls-policy.service", "lib/systemd/system/starttls-policy.service"),
    ("starttls-policy.socket", "lib/systemd/system/starttls-policy.socket"),
    ("starttls-web.service", "lib/systemd/system/starttls-web.service"),
    ("gateway.toml", "etc/starttls/gateway.toml"),
    ("nagios/starttls.cfg", "etc/nagios-plugins/config/starttls.cfg"),
    ("icinga2/starttls.conf", "usr/share/doc/starttls/examples/icinga2.conf"),
    ("prometheus/starttls.rules.yml", "usr/share/doc/starttls/examples/prometheus.rules.yml"),
    ("grafana/gateway.json", "usr/share/doc/starttls/examples/grafana-gateway.json"),
    ("grafana/audits.json", "usr/share/doc/starttls/examples/grafana-audits.json"),
    ("debian/copyright", "usr/share/doc/starttls/copyright"),
];

/// What lintian reports about a static binary although it is right.
const OVERRIDES: &str = "# lintian takes a static, position-independent executable for a shared library.\n\
                         starttls: shared-library-lacks-prerequisites [usr/bin/starttls]\n";

/// Builds the package of the staged files in `folder`, and returns its path.
pub(super) fn build(
    architecture: Architecture,
    stage: &Path,
    scratch: &Path,
    version: &str,
    folder: &Path,
    compression: Compression,
) -> Result<PathBuf, String> {
    let architecture = architecture.name;
    let tree = scratch.join("deb");
    empty(&tree)?;
    copy(&stage.join("starttls"), &tree.join("usr/bin/starttls"))?;
    for page in files(&stage.join("man"))? {
        let name = page.file_name().unwrap_or_default();
        copy(&page, &tree.join("usr/share/man/man1").join(name))?;
    }
    for ((_, name), folder) in SHELLS.iter().zip(COMPLETIONS) {
        copy(&stage.join("completions").join(name), &tree.join(folder).join(name))?;
    }
    for (from, to) in CONTRIB {
        copy(&root().join("contrib").join(from), &tree.join(to))?;
    }
    let doc = tree.join("usr/share/doc/starttls");
    copy(&stage.join("CHANGELOG.md"), &doc.join("NEWS.md"))?;
    if stage.join(SBOM).exists() {
        copy(&stage.join(SBOM), &doc.join(SBOM))?;
    }
    write(&doc.join("changelog"), changelog(version)?)?;
    let mut compressed = files(&tree.join("usr/share/man"))?;
    compressed.extend([doc.join("changelog"), doc.join("NEWS.md")]);
    output(Command::new("gzip").arg("-9n").args(compressed))?;

    let depends = if is_static(&stage.join("starttls"))? {
        write(&tree.join("usr/share/lintian/overrides/starttls"), OVERRIDES)?;
        ""
    } else {
        "Depends: libc6\n"
    };
    let installed = files(&tree)?;
    let size: u64 =
        installed.iter().filter_map(|path| fs::metadata(path).ok()).map(|it| it.len().div_ceil(1024)).sum();
    let control = format!(
        "Package: starttls\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n{depends}\
         Recommends: ca-certificates\nInstalled-Size: {size}\nSection: net\nPriority: optional\n\
         Description: toolbox for STARTTLS: connect, audit, attack and gateway\n \
         STARTTLS upgrades a cleartext connection to TLS on the same port. This command\n \
         connects to servers of every protocol with such an upgrade, audits them, tests\n \
         clients against a man in the middle, and provides the upgrade as a gateway.\n",
    );
    write(&tree.join("DEBIAN/control"), control)?;
    let name = |path: &Path| path.strip_prefix(&tree).unwrap_or(path).display().to_string();
    let conffiles = installed.iter().filter(|path| path.starts_with(tree.join("etc")));
    write(
        &tree.join("DEBIAN/conffiles"),
        conffiles.map(|path| format!("/{}\n", name(path))).collect::<String>(),
    )?;
    let sums =
        output(Command::new("md5sum").args(installed.iter().map(|path| name(path))).current_dir(&tree))?;
    write(&tree.join("DEBIAN/md5sums"), sums)?;
    for script in ["postinst", "prerm", "postrm"] {
        copy(&root().join("contrib/debian").join(script), &tree.join("DEBIAN").join(script))?;
    }
    output(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(&tree))?;

    let package = folder.join(format!("starttls_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args([compression.of_packages(), "--root-owner-group", "--build"]).arg(&tree).arg(&package);
    output(build.env("SOURCE_DATE_EPOCH", source_date()?.to_string()))?;
    Ok(package)
}

/// Returns the changelog in Debian's form.
fn changelog(version: &str) -> Result<String, String> {
    let date = output(
        Command::new("date").args(["-u", "-R", "-d", &format!("@{}", source_date()?)]).env("LC_ALL", "C"),
    )?;
    Ok(format!(
        "starttls ({version}) unstable; urgency=medium\n\n  * The changes are in NEWS.md.gz in this folder.\n\n -- {MAINTAINER}  {date}"
    ))
}

/// Installs, upgrades, removes and purges the package in a scratch root that has never seen the program.
const TEST: &str = r#"
set -eux
root=$1 package=$2 newer=$3 static=$4
# A package of a test is not compressed, and its binary is not static.
suppressed=uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball
run() {
    if [ "$static" = true ]; then chroot "$root" /usr/bin/starttls "$@"; else "$root/usr/bin/starttls" "$@"; fi
}
install() { dpkg --root="$root" --force-script-chrootless --force-depends --force-confold "$@"; }
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
: >"$root/var/lib/dpkg/status"

lintian --allow-root --fail-on error,warning --suppress-tags "$suppressed" "$package"
install --install "$package"
run --version
run explain srv-inject-eager | grep -q 'inside TLS'
STARTTLS_COMPLETE=bash _CLAP_COMPLETE_INDEX=2 run -- starttls explain cli-strip | grep -q cli-strip-offer
# Without a listener the configuration is not complete, and the service does not start.
if [ "$static" = true ]; then config=/etc/starttls/gateway.toml; else config=$root/etc/starttls/gateway.toml; fi
errors=$(run gateway -c "$config" --check 2>&1) && exit 1
echo "$errors" | grep -q listener
for page in "$root"/usr/share/man/man1/starttls*.1.gz; do zcat "$page" | grep -q '^\.TH starttls'; done
for unit in gateway policy web; do
    systemd-analyze security --no-pager --offline=true --threshold=20 \
        "$root/lib/systemd/system/starttls-$unit.service" >/dev/null
    grep -q "^ExecStart=/usr/bin/starttls $unit " "$root/lib/systemd/system/starttls-$unit.service"
done

echo '# changed' >>"$root/etc/starttls/gateway.toml"
install --install "$newer"
dpkg-query --admindir="$root/var/lib/dpkg" --show starttls | grep -q newer
grep -q '^# changed' "$root/etc/starttls/gateway.toml"

install --remove starttls
test ! -e "$root/usr/bin/starttls"
grep -q '^# changed' "$root/etc/starttls/gateway.toml"

install --purge starttls
left=$(find "$root" -path "$root/var/lib/dpkg" -prune -o -type f -print)
test -z "$left" || { echo "left: $left"; exit 1; }
"#;

/// Tests the package and the upgrade to a newer one.
pub(super) fn test(
    package: &Path,
    newer: &Path,
    scratch: &Path,
    is_static: bool,
    log: Option<&File>,
) -> Result<(), String> {
    let mut test = setup::as_root().ok_or("dpkg needs root, or sudo without a password")?;
    test.args(["sh", "-c", TEST, "sh"]).arg(scratch).arg(package).arg(newer).arg(is_static.to_string());
    process::run(&test, Duration::from_secs(300), log)
}
