//! Updates: the Windows Update Agent for Windows Update and WSUS, DISM for packages in a folder.

use super::border::unexpected;
use super::offline::Folder;
use super::process::{Late, run};
use super::wua::{Server, Session};
use super::{WindowsHost, processes};
use crate::host::{HistoryEntry, HostError, HostResult, Job, Registry, StoreHealth, Updates};
use crate::shape::dism;
use crate::shape::wua::of_the_service;
use std::time::Duration;
use windlass_protocol::{PinnedUpdate, Source};

/// `WU_E_WU_DISABLED`: what is asked is not what the policy allows.
const NOT_ALLOWED: u32 = 0x8024_002E;

/// The process that services Windows; while it runs, packages are taken in or cleaned up.
const SERVICING: &str = "TiWorker.exe";

/// How long a look at the component store's marks may take, ours: it takes some seconds.
const CHECK_HEALTH: Duration = Duration::from_mins(1);

/// Where a job takes its updates from.
enum From {
    Service(Server),
    Folder(Folder),
}

impl WindowsHost {
    fn from(&self, source: &Source) -> HostResult<From> {
        match source {
            Source::WindowsUpdate => Ok(From::Service(Server::Default)),
            Source::Wsus => {
                let policy = self.update_policy()?;
                let named = policy.use_wu_server == Some(1) && policy.wu_server.is_some_and(|url| !url.is_empty());
                if named {
                    Ok(From::Service(Server::Managed))
                } else {
                    Err(HostError::new(NOT_ALLOWED, "source: the policy of this machine names no WSUS server"))
                }
            }
            Source::Offline { folder, manifest_sha256 } => Folder::open(folder, manifest_sha256).map(From::Folder),
        }
    }

    /// The source that was searched.
    fn searched(&self) -> HostResult<From> {
        let source = self.source.as_ref().ok_or_else(|| unexpected("updates: nothing was searched yet"))?;
        self.from(source)
    }
}

impl Updates for WindowsHost {
    fn begin_search(&mut self, source: &Source, pinned: &[PinnedUpdate]) -> HostResult<()> {
        let (from, here, pinned) = (self.from(source)?, self.build()?, pinned.to_vec());
        self.source = Some(source.clone());
        self.jobs.begin(move || match from {
            From::Service(server) => Session::open()?.find(server, &pinned).map(Job::Searched),
            From::Folder(folder) => folder.find(here).map(Job::Searched),
        })
    }

    fn begin_download(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        let (from, updates) = (self.searched()?, updates.to_vec());
        self.jobs.begin(move || match from {
            From::Service(server) => Session::open()?.download(server, &updates).map(Job::Downloaded),
            From::Folder(folder) => Ok(Job::Downloaded(folder.verify(&updates))),
        })
    }

    fn begin_install(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        let (from, here, updates) = (self.searched()?, self.build()?, updates.to_vec());
        self.jobs.begin(move || match from {
            From::Service(server) => Session::open()?.install(server, &updates).map(Job::Installed),
            From::Folder(folder) => folder.install(&updates, here).map(Job::Installed),
        })
    }

    fn poll_job(&mut self) -> HostResult<Job> {
        self.jobs.poll()
    }

    fn servicing_busy(&self) -> HostResult<bool> {
        let service = || of_the_service(Session::open().and_then(|session| session.busy()));
        Ok(processes::by_program(SERVICING)?.is_some() || service()?)
    }

    /// Windows cleans its own downloads by itself and has no call for it; packages of a folder are not ours to remove.
    fn discard_downloads(&mut self, _updates: &[PinnedUpdate]) -> HostResult<()> {
        Ok(())
    }

    fn update_history(&self, count: u32) -> HostResult<Vec<HistoryEntry>> {
        Session::open()?.history(count)
    }

    fn component_store(&self) -> HostResult<StoreHealth> {
        let args = ["/English", "/Online", "/Cleanup-Image", "/CheckHealth"];
        let ended = run("dism.exe", &args, CHECK_HEALTH, Late::Kill)?;
        let (hresult, _) = dism::exit_code(ended.code);
        if hresult != 0 {
            return Err(HostError::new(hresult, "dism: /CheckHealth"));
        }
        dism::health(&ended.output).ok_or_else(|| unexpected("dism: /CheckHealth: an answer nobody knows"))
    }
}
