//! Plans the stages of a run, each from the results of the one before. The memory is bounded whatever the size of the input.

use std::io::BufRead;

use starttls_x509::validity;

use crate::collapse::{Collapse, Sample, collapse_line};
use crate::error::SurveyError;
use crate::files::{LineReader, json};
use crate::folder::{RunFolder, ShardWriter, Stage, StagePlan};
use crate::input::{DomainReader, InputLine};
use crate::lanes::LaneBuilder;
use crate::network::{AsTable, NetworkKey};
use crate::row::{AddressRow, DomainRow, EndpointRow};
use crate::settings::RunSettings;
use crate::sort::{LineSorter, keyed_hash};
use crate::stage::probe::attempt;
use crate::suffix::Suffixes;
use crate::target::{EndpointTarget, NameTarget};

/// The lanes of the stages that only ask DNS. They have no budgets, so a lane is a shard in work.
const DNS_LANES: u16 = 16;

/// Plans the first stage from the list of domains: each once, in an order that depends on the seed.
///
/// # Errors
/// If the list cannot be read, or a file cannot be written.
pub(crate) fn plan_resolve(
    run: &RunFolder,
    settings: &RunSettings,
    input: impl BufRead,
) -> Result<StagePlan, SurveyError> {
    let scratch = run.scratch()?;
    let mut names = NamePlan::new(run, settings, Stage::Resolve)?;
    let mut reader = DomainReader::new(input);
    while let Some(line) = reader.next_line().map_err(SurveyError::file(&scratch))? {
        match line {
            InputLine::Domain(name) => names.push(name.as_str())?,
            InputLine::Invalid { .. } => names.shards.invalid(),
        }
    }
    names.finish()
}

/// Plans the lookup of the addresses of all exchangers, each once.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn plan_addresses(run: &RunFolder, settings: &RunSettings) -> Result<StagePlan, SurveyError> {
    let mut names = NamePlan::new(run, settings, Stage::Addresses)?;
    for_each_row(run, "results", Stage::Resolve, |row: DomainRow| {
        row.mx.iter().try_for_each(|exchanger| names.push(&exchanger.name))
    })?;
    names.finish()
}

/// Names that are being sorted by a keyed hash: that is a random order, and equal names are neighbors.
struct NamePlan {
    sorter: LineSorter,
    scratch: std::path::PathBuf,
    shards: ShardWriter,
    seed: u64,
}

impl NamePlan {
    fn new(run: &RunFolder, settings: &RunSettings, stage: Stage) -> Result<Self, SurveyError> {
        let scratch = run.scratch()?;
        let shards = ShardWriter::new(run, stage, DNS_LANES.into())?;
        Ok(Self { sorter: LineSorter::new(&scratch), scratch, shards, seed: settings.seed })
    }

    fn push(&mut self, name: &str) -> Result<(), SurveyError> {
        let line = format!("{:016x}\t{name}", keyed_hash(self.seed, name));
        self.sorter.push(line).map_err(SurveyError::file(&self.scratch))
    }

    fn finish(self) -> Result<StagePlan, SurveyError> {
        let Self { sorter, scratch, mut shards, .. } = self;
        let (mut last, mut next) = (String::new(), 0_u16);
        for line in sorter.finish().map_err(SurveyError::file(&scratch))? {
            let line = line.map_err(SurveyError::file(&scratch))?;
            if line == last {
                continue;
            }
            if let Some((_, name)) = line.split_once('\t') {
                shards.push(next, &NameTarget { name: name.to_owned() })?;
                next = (next + 1) % DNS_LANES;
            }
            last = line;
        }
        shards.finish(validity::now(), &[])
    }
}

/// Plans the first pass over the endpoints: names are collapsed to samples at each address, and networks are divided among
/// lanes.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn plan_probe(
    run: &RunFolder,
    settings: &RunSettings,
    suffixes: &Suffixes,
    table: &AsTable,
) -> Result<StagePlan, SurveyError> {
    let scratch = run.scratch()?;
    let failed = || SurveyError::file(&scratch);
    let mut by_address = LineSorter::new(&scratch);
    for_each_row(run, "results", Stage::Addresses, |row: AddressRow| {
        let suffix = suffixes.registrable(&row.name);
        row.addresses.iter().try_for_each(|address| {
            let line = collapse_line(settings.seed, address.to_canonical(), suffix, &row.name);
            by_address.push(line).map_err(failed())
        })
    })?;

    let connections = settings.probe.connections();
    let mut lanes = LaneBuilder::new(settings.pace);
    let (mut by_suffix, mut targets) = (LineSorter::new(&scratch), LineSorter::new(&scratch));
    let mut collapse = Collapse::new(settings.samples);
    let mut address = None;
    let mut at_address = 0;
    for line in by_address.finish().map_err(failed())? {
        let Some(Sample { address: next, suffix, name }) = collapse.choose(&line.map_err(failed())?) else {
            continue;
        };
        if address != Some(next) {
            if let Some(before) = address {
                lanes.add_address(table.network(before), at_address, connections);
            }
            (address, at_address) = (Some(next), 0);
        }
        at_address += 1;
        let network = table.network(next);
        by_suffix.push(format!("{suffix}\t{network}")).map_err(failed())?;
        let target = EndpointTarget {
            protocol: settings.protocol.clone(),
            address: next,
            port: settings.port,
            server_name: name,
            suffix,
            network,
            attempts: Vec::new(),
        };
        let order = keyed_hash(settings.seed, &target.key());
        targets.push(format!("{order:016x}\t{}", json(&target))).map_err(failed())?;
    }
    if let Some(last) = address {
        lanes.add_address(table.network(last), at_address, connections);
    }
    add_suffixes(&mut lanes, by_suffix, connections).map_err(failed())?;

    let plan = lanes.pack(settings.lanes);
    let mut shards = ShardWriter::new(run, Stage::Probe(1), plan.loads.len())?;
    for line in targets.finish().map_err(failed())? {
        let line = line.map_err(failed())?;
        let target =
            line.split_once('\t').and_then(|(_, target)| serde_json::from_str::<EndpointTarget>(target).ok());
        let Some(target) = target else { continue };
        shards.push(plan.lane(target.network).unwrap_or_default(), &target)?;
    }
    shards.finish(validity::now(), &plan.loads)
}

fn add_suffixes(lanes: &mut LaneBuilder, lines: LineSorter, connections: u32) -> std::io::Result<()> {
    let (mut suffix, mut networks, mut targets) = (String::new(), Vec::<NetworkKey>::new(), 0);
    for line in lines.finish()? {
        let line = line?;
        let Some((of, network)) = line.split_once('\t') else { continue };
        if of != suffix {
            lanes.add_suffix(&networks, targets, connections);
            of.clone_into(&mut suffix);
            networks.clear();
            targets = 0;
        }
        targets += 1;
        // The lines of a suffix are sorted by network.
        if let Ok(network) = network.parse()
            && networks.last() != Some(&network)
        {
            networks.push(network);
        }
    }
    lanes.add_suffix(&networks, targets, connections);
    Ok(())
}

/// Plans another pass, over the endpoints of the pass before for which another attempt may find more. They stay in their lanes.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn plan_retry(
    run: &RunFolder,
    settings: &RunSettings,
    pass: u8,
) -> Result<StagePlan, SurveyError> {
    let before = Stage::Probe(pass.saturating_sub(1));
    let first = run.stage(Stage::Probe(1))?.unwrap_or_default();
    let mut shards = ShardWriter::new(run, Stage::Probe(pass), first.lanes.len())?;
    for id in run.done(before)? {
        let path = run.of_shard("results", before, id);
        let mut reader = LineReader::open(&path)?;
        while let Some(row) = reader.next_row::<EndpointRow>()? {
            if !row.reach.is_worth_a_retry(row.pass) {
                continue;
            }
            let network = row.network.parse().map_err(|why| SurveyError::contents(&path, why))?;
            let mut attempts = row.attempts.clone();
            attempts.push(attempt(&row));
            let EndpointRow { protocol, address, port, server_name, suffix, .. } = row;
            shards.push(
                id.lane,
                &EndpointTarget { protocol, address, port, server_name, suffix, network, attempts },
            )?;
        }
    }
    let wait = settings.retry_after.get(usize::from(pass.saturating_sub(2))).copied().unwrap_or_default();
    let due = validity::now().saturating_add(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
    shards.finish(due, &[])
}

/// Reads the rows of all results of a stage.
pub(crate) fn for_each_row<T: serde::de::DeserializeOwned>(
    run: &RunFolder,
    kind: &str,
    stage: Stage,
    mut each: impl FnMut(T) -> Result<(), SurveyError>,
) -> Result<(), SurveyError> {
    for id in run.done(stage)? {
        let path = run.of_shard(kind, stage, id);
        // Shards without evidence or certificates have no such file.
        if kind != "results" && !path.exists() {
            continue;
        }
        let mut reader = LineReader::open(&path)?;
        while let Some(row) = reader.next_row()? {
            each(row)?;
        }
    }
    Ok(())
}
