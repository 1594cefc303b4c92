//! `--write`: the packets of connections with findings.

use std::collections::BTreeMap;
use std::path::Path;

use starttls_inspect::{CaptureWriter, ConnectionReport, Inspector, Weight};

use super::source::Captures;
use crate::console;
use crate::error::Failed;
use crate::output::Sink;

/// The connections to write, with the comment of their first packet.
pub(super) type Marked = BTreeMap<u64, String>;

/// Marks a connection with findings.
pub(super) fn mark(report: &ConnectionReport, marked: &mut Marked) {
    let ids: Vec<_> =
        report.findings.iter().filter(|it| it.severity >= Weight::Low).map(|it| it.id).collect();
    if !ids.is_empty() {
        marked.insert(report.id, ids.join(", "));
    }
}

/// Reads the captures a second time and writes the packets of the marked connections. Connections have the same numbers in
/// both passes, so no packet is held in memory.
pub(super) fn write(
    captures: &Captures,
    mut inspector: Inspector,
    mut marked: Marked,
    path: &Path,
) -> Result<(), Failed> {
    let connections: Vec<u64> = marked.keys().copied().collect();
    let (mut writer, mut sink, mut packets) = (CaptureWriter::default(), Sink::whole(path)?, 0_u64);
    sink.show(&CaptureWriter::header())?;
    captures.read(
        &mut |packet| {
            let id = inspector.packet(packet);
            inspector.take_finished();
            if let Some(id) = id.filter(|id| connections.binary_search(id).is_ok()) {
                packets += 1;
                sink.show(&writer.packet(packet, &marked.remove(&id).unwrap_or_default()))?;
            }
            Ok(true)
        },
        &|| true,
    )?;
    sink.finish()?;
    console::warning(&format!(
        "{} contains {packets} packets with their content, which may include passwords",
        path.display()
    ));
    Ok(())
}
