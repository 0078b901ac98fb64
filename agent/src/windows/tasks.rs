//! The one scheduled task, by Task Scheduler's COM.

use super::border::{Com, Doing, optional};
use super::{Mutex, PROGRAM, TASK_MUTEX, WindowsHost};
use crate::host::{Files, HostResult, TaskState, Tasks};
use crate::shape::task::definition;
use std::{env, fs};
use windows::Win32::System::TaskScheduler::{
    IRegisteredTask, ITaskFolder, ITaskService, TASK_CREATE_OR_UPDATE, TASK_LOGON_SERVICE_ACCOUNT, TASK_STATE_QUEUED,
    TASK_STATE_RUNNING, TaskScheduler,
};
use windows::Win32::System::Variant::VARIANT;
use windows::core::BSTR;

/// Name of the task, in the root folder of Task Scheduler.
const TASK: &str = "WindlassAgent";

/// The folder that has the task; the connection lives as long as it.
struct Folder {
    folder: ITaskFolder,
    _com: Com,
}

impl Folder {
    fn open() -> HostResult<Self> {
        let com = Com::enter()?;
        let service: ITaskService = com.create(&TaskScheduler, "Task Scheduler")?;
        let none = VARIANT::default();
        // SAFETY: methods of a live object; empty variants mean this machine and this user.
        let folder = unsafe {
            service.Connect(&none, &none, &none, &none).doing("Task Scheduler: connect")?;
            service.GetFolder(&BSTR::from("\\")).doing("Task Scheduler: root folder")?
        };
        Ok(Self { folder, _com: com })
    }

    fn task(&self) -> HostResult<Option<IRegisteredTask>> {
        // SAFETY: a method of a live object; the name outlives the call.
        optional(unsafe { self.folder.GetTask(&BSTR::from(TASK)) }.doing("task"))
    }
}

/// Whether Task Scheduler has the task's process at work, or just begins to.
fn runs(task: &IRegisteredTask) -> HostResult<bool> {
    // SAFETY: a method of a live object.
    let state = unsafe { task.State() }.doing("task: state")?;
    Ok(state == TASK_STATE_RUNNING || state == TASK_STATE_QUEUED)
}

impl WindowsHost {
    /// Puts this program into the agent's folder, from where the task starts it: the pod's own files go with the pod.
    fn keep_program(&mut self) -> HostResult<()> {
        let here = env::current_exe().and_then(fs::read).doing("own program")?;
        if fs::read(self.folder.path(PROGRAM)).is_ok_and(|there| there == here) {
            return Ok(());
        }
        self.replace(PROGRAM, &here)
    }
}

impl Tasks for WindowsHost {
    fn task(&self) -> HostResult<TaskState> {
        // The process itself says it best: it lives on when its task is taken off. It costs next to nothing to ask, and
        // whoever waits for it asks each second.
        if Mutex::is_held(TASK_MUTEX)? {
            return Ok(TaskState::Running);
        }
        let folder = Folder::open()?;
        Ok(match folder.task()? {
            None => TaskState::Absent,
            Some(task) if runs(&task)? => TaskState::Running,
            Some(_) => TaskState::Ready,
        })
    }

    fn register_task(&mut self) -> HostResult<()> {
        let folder = Folder::open()?;
        if folder.task()?.is_some() && Mutex::is_held(TASK_MUTEX)? {
            return Ok(());
        }
        self.keep_program()?;
        let xml = BSTR::from(definition(&self.folder.path(PROGRAM).to_string_lossy()));
        let (none, system) = (VARIANT::default(), VARIANT::from("S-1-5-18"));
        let (flags, logon) = (TASK_CREATE_OR_UPDATE.0, TASK_LOGON_SERVICE_ACCOUNT);
        // SAFETY: a method of a live object; every text outlives the call.
        unsafe { folder.folder.RegisterTask(&BSTR::from(TASK), &xml, flags, &system, &none, logon, &none) }
            .doing("task: register")
            .map(drop)
    }

    fn start_task(&mut self) -> HostResult<()> {
        let folder = Folder::open()?;
        let Some(task) = folder.task()? else { return Ok(()) };
        if Mutex::is_held(TASK_MUTEX)? || runs(&task)? {
            return Ok(());
        }
        // SAFETY: a method of a live object; an empty variant means no parameters.
        unsafe { task.Run(&VARIANT::default()) }.doing("task: start").map(drop)
    }

    fn remove_task(&mut self) -> HostResult<()> {
        let folder = Folder::open()?;
        // SAFETY: a method of a live object; the name outlives the call.
        optional(unsafe { folder.folder.DeleteTask(&BSTR::from(TASK), 0) }.doing("task: remove")).map(drop)
    }
}
