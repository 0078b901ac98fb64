//! What stands before moto: all calls go to it, but for what it can not do.
//!
//! * `CreateReplaceRootVolumeTask`, `DescribeReplaceRootVolumeTasks`: moto answers 500. The front keeps the tasks, in the
//!   shapes of botocore's model, and swaps the volumes at moto by stop, detach, create, attach, start.
//! * `DescribeSnapshots`: moto's snapshots are `completed` at once. The front says `pending` or `error` where the
//!   [`Hardware`] does.
//! * `DescribeSnapshots` by tags: asked by id, as the [`Index`] has it.
//! * `CreateVolume`, `AttachVolume`, `StartInstances`, `StopInstances`, `CreateSnapshots`: passed on, and told to the
//!   hardware.
//! * Credentials: moto takes any. The front takes only the access keys that it was told, if it was told any.

use super::hardware::{Hardware, Progress};
use super::index::{Index, Narrowed};
use super::xml::{answer, between, element, elements, escaped, refusal};
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The headers of a request that moto reads: from the signature it takes service and region.
const PASSED_ON: [&str; 3] = ["authorization", "content-type", "x-amz-target"];

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// Body.
    pub body: String,
}

impl Reply {
    fn xml(status: u16, body: String) -> Self {
        Self { status, content_type: "text/xml".to_owned(), body }
    }
}

/// The front of one moto, in one region.
pub struct Front {
    moto: String,
    region: String,
    http: reqwest::Client,
    hardware: Arc<dyn Hardware>,
    tasks: Mutex<Vec<Task>>,
    serial: AtomicUsize,
    keys: Mutex<Option<Vec<String>>>,
    calls: Mutex<BTreeMap<String, usize>>,
    index: Index,
    /// Held while volumes are swapped, so that nobody sees the middle of it.
    swapping: tokio::sync::RwLock<()>,
}

/// A task that replaces a root volume.
#[derive(Clone)]
struct Task {
    id: String,
    token: String,
    instance: String,
    snapshot: String,
    delete_replaced: bool,
    tags: Vec<(String, String)>,
    progress: Progress,
}

/// The parameters of a call.
pub(super) type Params = BTreeMap<String, String>;

impl Front {
    /// A front before the moto at this URL.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(moto: &str, region: &str, hardware: Arc<dyn Hardware>) -> Result<Self> {
        Ok(Self {
            moto: moto.to_owned(),
            region: region.to_owned(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?,
            hardware,
            tasks: Mutex::default(),
            serial: AtomicUsize::new(1),
            keys: Mutex::default(),
            calls: Mutex::default(),
            index: Index::default(),
            swapping: tokio::sync::RwLock::default(),
        })
    }

    /// From now on only these access keys count; none at all means that any does.
    pub fn only_keys(&self, keys: Option<&[&str]>) {
        *lock(&self.keys) = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    }

    /// How often each call was made so far. KMS, which names its calls elsewhere, counts as one.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        lock(&self.calls).clone()
    }

    /// Asks moto itself, as its owner.
    ///
    /// # Errors
    /// moto refuses, or does not answer.
    pub async fn ec2(&self, action: &str, params: &[(&str, &str)]) -> Result<String> {
        let body = {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("Action", action).append_pair("Version", "2016-11-15").extend_pairs(params).finish()
        };
        let region = &self.region;
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=owner/20260101/{region}/ec2/aws4_request, SignedHeaders=host, Signature=0"
        );
        let form_type = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = [("authorization", scope), ("content-type", form_type.to_owned())];
        let reply = self.pass_on(&headers, body).await?;
        ensure!(reply.status == 200, "{action}: {}", reply.body);
        Ok(reply.body)
    }

    /// The volume at the root device of an instance, while it has one.
    ///
    /// # Errors
    /// There is no such instance.
    pub async fn root(&self, instance: &str) -> Result<Option<String>> {
        let text = self.ec2("DescribeInstances", &[("InstanceId.1", instance)]).await?;
        let device = element(&text, "rootDeviceName").context("no root device")?;
        let at_root = between(&text, &format!("<deviceName>{device}</deviceName><ebs>"), "</ebs>");
        Ok(at_root.and_then(|ebs| element(ebs, "volumeId")).map(str::to_owned))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// moto or the hardware does not answer.
    pub async fn answer(&self, headers: &HeaderMap, body: String) -> Result<Reply> {
        if let Some(refused) = self.unknown_key(headers) {
            return Ok(refused);
        }
        let params: Params = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let action = params.get("Action").cloned().unwrap_or_default();
        *lock(&self.calls).entry(action.clone()).or_default() += 1;
        match action.as_str() {
            "CreateReplaceRootVolumeTask" => return self.create_task(&params).await,
            "DescribeReplaceRootVolumeTasks" => return self.describe_tasks(&params).await,
            _ => {}
        }
        let whole = self.swapping.read().await;
        let passed = PASSED_ON.iter().filter_map(|name| Some((*name, headers.get(*name)?.to_str().ok()?.to_owned())));
        let mut reply = self.pass_on(&passed.collect::<Vec<_>>(), body).await?;
        drop(whole);
        if reply.status == 200 {
            self.tell(&action, &params, &mut reply).await?;
        }
        Ok(reply)
    }

    fn unknown_key(&self, headers: &HeaderMap) -> Option<Reply> {
        let keys = lock(&self.keys);
        let authorization = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let key = between(authorization, "Credential=", "/").unwrap_or_default();
        if keys.as_ref().is_none_or(|keys| keys.iter().any(|known| known == key)) {
            return None;
        }
        let message = "AWS was not able to validate the provided access credentials";
        Some(Reply::xml(401, refusal("AuthFailure", message)))
    }

    async fn pass_on(&self, headers: &[(&str, String)], body: String) -> Result<Reply> {
        let params: Params = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let action = params.get("Action").cloned().unwrap_or_default();
        let body = match self.index.narrow(&action, &params) {
            Narrowed::Same => body,
            Narrowed::To(params) => form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish(),
            Narrowed::Nothing => return Ok(Reply::xml(200, answer(&action, "<snapshotSet/>"))),
        };
        let request =
            headers.iter().fold(self.http.post(&self.moto), |request, (name, value)| request.header(*name, value));
        let response = request.body(body).send().await?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let reply = Reply { status, content_type: content_type.to_owned(), body: response.text().await? };
        if reply.status == 200 {
            self.index.learn(&action, &params, &reply.body);
        }
        Ok(reply)
    }

    /// Tells the hardware what was done, and has it change what is seen.
    async fn tell(&self, action: &str, params: &Params, reply: &mut Reply) -> Result<()> {
        let get = |name: &str| params.get(name).map(String::as_str).unwrap_or_default();
        let instance = get("InstanceId.1");
        match action {
            "CreateSnapshots" => {
                let instance = get("InstanceSpecification.InstanceId");
                let root = self.root(instance).await?;
                for item in reply.body.split("<snapshotId>").zip(elements(&reply.body, "snapshotId")) {
                    let volume = elements(item.0, "volumeId").pop().unwrap_or_default();
                    if root.as_deref() == Some(volume) {
                        self.hardware.captured(instance, volume, item.1).await?;
                    }
                }
            }
            "DescribeSnapshots" => {
                for snapshot in elements(&reply.body.clone(), "snapshotId") {
                    if let Some(state) = self.hardware.state_of(snapshot).await? {
                        reply.body = with_state(&reply.body, snapshot, state);
                    }
                }
            }
            "CreateVolume" => {
                let volume = element(&reply.body, "volumeId").unwrap_or_default();
                self.hardware.made(get("SnapshotId"), volume).await?;
            }
            "AttachVolume" => self.hardware.attached(get("InstanceId"), get("VolumeId")).await?,
            "StartInstances" => self.hardware.powered(instance, true).await?,
            "StopInstances" => self.hardware.powered(instance, false).await?,
            _ => {}
        }
        Ok(())
    }

    async fn create_task(&self, params: &Params) -> Result<Reply> {
        let get = |name: &str| params.get(name).cloned().unwrap_or_default();
        let (instance, snapshot, token) = (get("InstanceId"), get("SnapshotId"), get("ClientToken"));
        let known = lock(&self.tasks).iter().find(|task| task.token == token).cloned();
        if let Some(task) = known {
            return Ok(Reply::xml(200, created(&task)));
        }
        let described = self.ec2("DescribeInstances", &[("InstanceId.1", &instance)]).await;
        let running = described.is_ok_and(|text| text.contains("<name>running</name>"));
        if !running {
            let message = format!("The instance '{instance}' is not in the state 'running'");
            return Ok(Reply::xml(400, refusal("IncorrectInstanceState", &message)));
        }
        if self.ec2("DescribeSnapshots", &[("SnapshotId.1", &snapshot)]).await.is_err() {
            return Ok(Reply::xml(
                400,
                refusal("InvalidSnapshot.NotFound", &format!("The snapshot '{snapshot}' does not exist.")),
            ));
        }
        let tag = |n: usize| {
            let value = |part: &str| params.get(&format!("TagSpecification.1.Tag.{n}.{part}")).cloned();
            Some((value("Key")?, value("Value").unwrap_or_default()))
        };
        let task = Task {
            id: format!("replacevol-{:017x}", self.serial.fetch_add(1, Ordering::Relaxed)),
            token,
            instance,
            snapshot,
            delete_replaced: get("DeleteReplacedRootVolume") == "true",
            tags: (1..).map_while(tag).collect(),
            progress: Progress::Pending,
        };
        self.hardware.replace(&task.id, &task.instance, &task.snapshot).await?;
        lock(&self.tasks).push(task.clone());
        Ok(Reply::xml(200, created(&task)))
    }

    async fn describe_tasks(&self, params: &Params) -> Result<Reply> {
        let wanted = params.get("Filter.1.Value.1");
        let fits = |task: &&Task| wanted.is_none_or(|instance| *instance == task.instance);
        let tasks: Vec<Task> = lock(&self.tasks).iter().filter(fits).cloned().collect();
        let mut items = String::new();
        for task in tasks {
            items += &item(&self.advance(task).await?);
        }
        let content = format!("<replaceRootVolumeTaskSet>{items}</replaceRootVolumeTaskSet>");
        Ok(Reply::xml(200, answer("DescribeReplaceRootVolumeTasks", &content)))
    }

    /// Looks how far a task is, and does at moto what its end means.
    async fn advance(&self, mut task: Task) -> Result<Task> {
        if !task.progress.is_open() {
            return Ok(task);
        }
        let _alone = self.swapping.write().await;
        // Somebody else may have been here meanwhile.
        let current = lock(&self.tasks).iter().find(|other| other.id == task.id).map(|other| other.progress);
        task.progress = current.unwrap_or(task.progress);
        if !task.progress.is_open() {
            return Ok(task);
        }
        task.progress = self.hardware.progress(&task.id).await?;
        match task.progress {
            Progress::Succeeded => self.swap(&task).await?,
            Progress::FailedDetached => self.detach(&task).await.map(drop)?,
            _ => {}
        }
        for other in lock(&self.tasks).iter_mut().filter(|other| other.id == task.id) {
            other.progress = task.progress;
        }
        Ok(task)
    }

    async fn swap(&self, task: &Task) -> Result<()> {
        let described = self.ec2("DescribeInstances", &[("InstanceId.1", &task.instance)]).await?;
        let zone = element(&described, "availabilityZone").context("no zone")?;
        let device = element(&described, "rootDeviceName").context("no root device")?;
        let made = self.ec2("CreateVolume", &[("SnapshotId", &task.snapshot), ("AvailabilityZone", zone)]).await?;
        let volume = element(&made, "volumeId").context("no volume")?;
        self.hardware.made(&task.snapshot, volume).await?;
        let old = self.detach(task).await?;
        self.ec2("StopInstances", &[("InstanceId.1", &task.instance)]).await?;
        let place = [("VolumeId", volume), ("InstanceId", task.instance.as_str()), ("Device", device)];
        self.ec2("AttachVolume", &place).await?;
        self.ec2("StartInstances", &[("InstanceId.1", &task.instance)]).await?;
        match old {
            Some(old) if task.delete_replaced => self.ec2("DeleteVolume", &[("VolumeId", &old)]).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Takes the root volume off; the instance counts as running, as it does at EC2.
    async fn detach(&self, task: &Task) -> Result<Option<String>> {
        let Some(root) = self.root(&task.instance).await? else { return Ok(None) };
        let described = self.ec2("DescribeInstances", &[("InstanceId.1", &task.instance)]).await?;
        let device = element(&described, "rootDeviceName").context("no root device")?;
        self.ec2("StopInstances", &[("InstanceId.1", &task.instance)]).await?;
        let place = [("VolumeId", root.as_str()), ("InstanceId", task.instance.as_str()), ("Device", device)];
        self.ec2("DetachVolume", &place).await?;
        self.ec2("StartInstances", &[("InstanceId.1", &task.instance)]).await?;
        Ok(Some(root))
    }
}

/// The answer with another state of one snapshot.
fn with_state(text: &str, snapshot: &str, state: &str) -> String {
    let mark = format!("<snapshotId>{snapshot}</snapshotId>");
    let Some((before, after)) = text.split_once(&mark) else { return text.to_owned() };
    let after = after.replacen("<status>completed</status>", &format!("<status>{state}</status>"), 1);
    format!("{before}{mark}{after}")
}

fn created(task: &Task) -> String {
    let item = fields(task);
    answer("CreateReplaceRootVolumeTask", &format!("<replaceRootVolumeTask>{item}</replaceRootVolumeTask>"))
}

fn item(task: &Task) -> String {
    format!("<item>{}</item>", fields(task))
}

/// A `ReplaceRootVolumeTask` as botocore 1.44.5's model of EC2 has it.
fn fields(task: &Task) -> String {
    let tag = |(key, value): &(String, String)| {
        format!("<item><key>{}</key><value>{}</value></item>", escaped(key), escaped(value))
    };
    let tags: String = task.tags.iter().map(tag).collect();
    let Task { id, instance, snapshot, delete_replaced, progress, .. } = task;
    format!(
        "<replaceRootVolumeTaskId>{id}</replaceRootVolumeTaskId><instanceId>{instance}</instanceId><taskState>{}</taskState>\
         <snapshotId>{snapshot}</snapshotId><deleteReplacedRootVolume>{delete_replaced}</deleteReplacedRootVolume>\
         <tagSet>{tags}</tagSet>",
        progress.as_str()
    )
}

/// Serves a front on loopback until the task is dropped or aborted. Gives its URL.
///
/// # Errors
/// There is no free port.
pub async fn serve(front: Arc<Front>) -> Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(respond).with_state(front);
    let serving = async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!("the front of moto ended: {error}");
        }
    };
    Ok((url, tokio::spawn(serving)))
}

async fn respond(State(front): State<Arc<Front>>, headers: HeaderMap, body: Bytes) -> Response {
    match front.answer(&headers, String::from_utf8_lossy(&body).into_owned()).await {
        Ok(Reply { status, content_type, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(CONTENT_TYPE, content_type)], body).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
