//! Workers as pods of a real cluster: found by their name, killed on the node or through the API server.
//!
//! The node has to be this machine, as it is with the bed: SIGKILL and SIGSTOP go to processes, not through Kubernetes.

use anyhow::Context as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The pods of the audited pipeline.
pub struct Pods {
    namespace: String,
    pipeline: String,
    replicas: u32,
    memory: Memory,
}

/// What the processes of the pods took at most, and may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The largest resident set that was seen, in KiB.
    pub peak_kib: u64,
    /// The limit of a pod, in KiB; 0 when it was not asked for yet.
    pub limit_kib: u64,
}

/// What cannot be, and what has been.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// A field of the pipeline.
    path: &'static str,
    bad: &'static str,
    /// None: the field is not there.
    good: Option<&'static str>,
    /// What the status says then.
    reason: &'static str,
}

/// State that would mean something else, pods that fit on no node, a spec that makes no plan, and an image that is nowhere;
/// the operator has to allow that one.
pub const WISHES: [Wish; 4] = [
    Wish {
        path: "/spec/steps/1/window/tumbling/size",
        bad: r#""7s""#,
        good: Some(r#""5s""#),
        reason: "StateIncompatible",
    },
    Wish {
        path: "/spec/nodeSelector/kubernetes.io~1os",
        bad: r#""plan9""#,
        good: Some(r#""linux""#),
        reason: "InsufficientCapacity",
    },
    Wish {
        path: "/spec/sinks/0/from",
        bad: r#"["nowhere"]"#,
        good: Some(r#"["kept"]"#),
        reason: "ConfigInvalid",
    },
    Wish { path: "/spec/image", bad: r#""weir.dev/weir:nowhere""#, good: None, reason: "Deploying" },
];

/// Restarts from which on an operator takes a change back.
const RESTARTS: u32 = 3;
/// How long pods may take to be ready.
const READY: Duration = Duration::from_secs(120);

impl Pods {
    /// Applies the manifest and waits until the pipeline is ready.
    pub fn start(namespace: &str, pipeline: &str, replicas: u32, manifest: &Path) -> anyhow::Result<Self> {
        let path = manifest.to_string_lossy();
        let _exists_already = kubectl(&["create", "namespace", namespace]);
        kubectl(&["apply", "--namespace", namespace, "-f", &path])?;
        let pods = Self {
            namespace: namespace.to_owned(),
            pipeline: pipeline.to_owned(),
            replicas,
            memory: Memory::default(),
        };
        pods.wait_ready()?;
        Ok(pods)
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.replicas
    }

    /// Waits until the pipeline says that it is ready.
    pub fn wait_ready(&self) -> anyhow::Result<()> {
        let (name, timeout) =
            (format!("streampipeline/{}", self.pipeline), format!("--timeout={}s", READY.as_secs()));
        kubectl(&["wait", "--namespace", &self.namespace, "--for=condition=Ready", &timeout, &name]).map(drop)
    }

    /// Asks for another number of pods, and waits until they have taken over.
    pub fn rescale(&mut self, replicas: u32) -> anyhow::Result<()> {
        self.replace("/spec/replicas", &replicas.to_string())?;
        self.replicas = replicas;
        self.wait_ready()
    }

    /// Asks for another plan that computes the same, and waits until its pods have taken over. The operator is lost so long
    /// after the wish.
    pub fn upgrade(&self, number: u32, loses_operator: Option<Duration>) -> anyhow::Result<()> {
        let expression = format!("\"event.n % 10 != 3 && event.n >= -{number}\"");
        self.replace("/spec/steps/0/filter/expression", &expression)?;
        if let Some(after) = loses_operator {
            std::thread::park_timeout(after);
            let operator =
                ["delete", "pod", "--namespace", "weir-system", "-l", "app.kubernetes.io/component=operator"];
            kubectl(&[&operator[..], &["--force", "--grace-period=0", "--wait=false"]].concat())?;
        }
        self.wait_ready()
    }

    /// Asks for what cannot be, waits until the status says why, and takes it back.
    pub fn refused(&self, wish: &Wish) -> anyhow::Result<()> {
        let name = format!("streampipeline/{}", self.pipeline);
        self.replace(wish.path, wish.bad)?;
        let reason = r#"jsonpath={.status.conditions[?(@.type=="Ready")].reason}"#;
        let says = format!("--for={reason}={}", wish.reason);
        kubectl(&["wait", "--namespace", &self.namespace, &says, "--timeout=60s", &name])?;
        match wish.good {
            Some(good) => self.replace(wish.path, good)?,
            None => self.patch(&[format!("{{\"op\": \"remove\", \"path\": \"{}\"}}", wish.path)])?,
        }
        self.wait_ready()
    }

    /// Asks for a plan that takes over and does not work, waits until it is taken back, and takes the wish back as well.
    /// What it gives out besides is right: nothing may be lost or doubled by the way there and back.
    pub fn rolled_back(&self, number: u32) -> anyhow::Result<()> {
        if number.is_multiple_of(2) { self.crashes(number) } else { self.makes_dead_letters() }
    }

    /// Its pods end again and again.
    fn crashes(&self, number: u32) -> anyhow::Result<()> {
        let (path, good) =
            ("/spec/steps/0/filter/expression", self.field("{.spec.steps[0].filter.expression}")?);
        let expression = format!("\"event.n % 10 != 3 && event.n < {}\"", 1_000_000_000 + u64::from(number));
        self.replace(path, &expression)?;
        self.wait_ready()?;
        for _ in 0..RESTARTS {
            self.wait_ready()?;
            self.signal(0, "KILL")?;
        }
        self.await_rolled_back()?;
        self.replace(path, &serde_json::to_string(&good)?)?;
        self.wait_ready()
    }

    /// A step beside the others fails for each record.
    fn makes_dead_letters(&self) -> anyhow::Result<()> {
        let good = self.field("{.spec.steps}")?;
        let broken =
            r#"{"name": "broken", "from": ["numbers"], "filter": {"expression": "event.n / 0 == 1"}}"#;
        let steps = good.strip_suffix(']').context("a list of steps")?;
        let both = r#"["kept", "broken"]"#;
        self.patch(&[set("/spec/steps", &format!("{steps}, {broken}]")), set("/spec/sinks/0/from", both)])?;
        self.await_rolled_back()?;
        self.patch(&[set("/spec/sinks/0/from", r#"["kept"]"#), set("/spec/steps", &good)])?;
        self.wait_ready()
    }

    fn await_rolled_back(&self) -> anyhow::Result<()> {
        let name = format!("streampipeline/{}", self.pipeline);
        let says = r#"--for=jsonpath={.status.conditions[?(@.type=="Ready")].reason}=RolledBack"#;
        let (namespace, timeout) = (self.namespace.as_str(), format!("--timeout={}s", READY.as_secs()));
        kubectl(&["wait", "--namespace", namespace, says, &timeout, &name]).map(drop)
    }

    fn field(&self, path: &str) -> anyhow::Result<String> {
        let path = format!("jsonpath={path}");
        kubectl(&["get", "streampipeline", &self.pipeline, "--namespace", &self.namespace, "-o", &path])
    }

    /// Changes a field of the pipeline, and waits until the operator has seen it.
    fn replace(&self, path: &str, value: &str) -> anyhow::Result<()> {
        self.patch(&[set(path, value)])
    }

    fn patch(&self, operations: &[String]) -> anyhow::Result<()> {
        let patch = format!("[{}]", operations.join(","));
        let name = format!("streampipeline/{}", self.pipeline);
        let generation = "jsonpath={.metadata.generation}";
        let patched = ["patch", &name, "--namespace", &self.namespace, "--type=json", "--patch", &patch];
        let generation = kubectl(&[&patched[..], &["-o", generation]].concat())?;
        let seen = format!("--for=jsonpath={{.status.observedGeneration}}={}", generation.trim());
        kubectl(&["wait", "--namespace", &self.namespace, &seen, "--timeout=30s", &name]).map(drop)
    }

    /// Looks at what the processes have taken since each of them began; those that are just not there are passed over.
    pub fn look_at_memory(&mut self) -> anyhow::Result<Memory> {
        for ordinal in 0..self.replicas {
            let pod = self.pod(ordinal)?;
            if let Some(peak_kib) = process_of(&pod)?.and_then(peak_kib_of) {
                self.memory.peak_kib = self.memory.peak_kib.max(peak_kib);
            }
        }
        if self.memory.limit_kib == 0 {
            let path = "jsonpath={.spec.containers[0].resources.limits.memory}";
            let limit = kubectl(&["get", "pod", &self.pod(0)?, "--namespace", &self.namespace, "-o", path])?;
            self.memory.limit_kib = kib_of(limit.trim())
                .with_context(|| format!("{limit}: not a limit of memory in Mi or Gi"))?;
        }
        Ok(self.memory)
    }

    /// Sends a signal to the process in a pod, as soon as there is one.
    pub fn signal(&self, ordinal: u32, name: &str) -> anyhow::Result<()> {
        let pid = self.process(ordinal)?.to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
        anyhow::ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// Deletes a pod without any grace: the StatefulSet makes another one of its name at once.
    pub fn force_delete(&self, ordinal: u32) -> anyhow::Result<()> {
        let name = self.pod(ordinal)?;
        let gone =
            ["delete", "pod", "--namespace", &self.namespace, "--force", "--grace-period=0", "--wait=false"];
        kubectl(&[&gone[..], &[&name]].concat()).map(drop)
    }

    /// Deletes the pipeline and its namespace, which the next audit makes again.
    pub fn stop(self) -> anyhow::Result<()> {
        kubectl(&[
            "delete",
            "streampipeline",
            &self.pipeline,
            "--namespace",
            &self.namespace,
            "--timeout=180s",
        ])?;
        kubectl(&["delete", "namespace", &self.namespace, "--timeout=120s"]).map(drop)
    }

    /// The name of the pod with this number, of the newest generation.
    fn pod(&self, ordinal: u32) -> anyhow::Result<String> {
        let path = "jsonpath={.status.generation}";
        let generation =
            kubectl(&["get", "streampipeline", &self.pipeline, "--namespace", &self.namespace, "-o", path])?;
        Ok(format!("{}-g{}-{ordinal}", self.pipeline, generation.trim()))
    }

    fn process(&self, ordinal: u32) -> anyhow::Result<u32> {
        let pod = self.pod(ordinal)?;
        let until = Instant::now() + READY;
        while Instant::now() < until {
            if let Some(pid) = process_of(&pod)? {
                return Ok(pid);
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        anyhow::bail!("no process of pod {pod} runs on this machine")
    }
}

/// Sets a field, whether it is there or not.
fn set(path: &str, value: &str) -> String {
    format!("{{\"op\": \"add\", \"path\": \"{path}\", \"value\": {value}}}")
}

/// The worker process whose environment names the pod.
fn process_of(pod: &str) -> anyhow::Result<Option<u32>> {
    let variable = format!("{}={pod}", control::generation::POD_NAME_VARIABLE);
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else {
            continue;
        };
        // Processes come and go while they are looked at.
        let Ok(environment) = std::fs::read(path.join("environ")) else { continue };
        let Ok(command) = std::fs::read(path.join("cmdline")) else { continue };
        let is_worker = command.split(|byte| *byte == 0).nth(1) == Some(b"worker");
        if is_worker && environment.split(|byte| *byte == 0).any(|item| item == variable.as_bytes()) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// The largest resident set of a process so far.
fn peak_kib_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn kib_of(quantity: &str) -> Option<u64> {
    match quantity.strip_suffix("Mi") {
        Some(mebibytes) => Some(mebibytes.parse::<u64>().ok()? << 10),
        None => Some(quantity.strip_suffix("Gi")?.parse::<u64>().ok()? << 20),
    }
}

fn kubectl(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("kubectl").args(arguments).stdin(Stdio::null()).output()?;
    anyhow::ensure!(
        output.status.success(),
        "kubectl {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
