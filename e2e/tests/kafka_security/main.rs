//! Every way to log in at a real broker, with the real program and the smallest rights; what is refused, and what heals:
//! `eval "$(e2e/bed/bed env)"; cargo test --features e2e/kafka-tests --test kafka_security`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

mod broker;
mod ways;
#[path = "../bad_input_kafka/world.rs"]
#[expect(dead_code, reason = "other suites use the rest of it")]
mod world;

use broker::{grant, revoke, set_password};
use control::status::Problem;
use control::{Condition, Reason};
use std::io::Read;
use std::net::TcpListener;
use ways::{PASSWORD, Secured, Way, certificate, jaas, listener};
use world::{Got, Sent, Weir, World};

/// 2026-01-01T00:00:00Z: the event time of all records but the last.
const BASE_MS: i64 = 1_767_225_600_000;

/// Numbered records of one window.
fn numbers(range: std::ops::Range<usize>) -> Vec<Sent> {
    let value = |n: usize| format!(r#"{{"ts":{BASE_MS},"k":"g","n":{n}}}"#).into_bytes();
    range.map(|n| Sent { key: Some(b"k".to_vec()), value: Some(value(n)), timestamp_ms: None }).collect()
}

fn assert_once(got: &[Got], count: usize) {
    let number = |got: &Got| got.text().split_once(r#""n":"#).unwrap().1.trim_end_matches('}').to_owned();
    let wanted: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(got.iter().map(number).collect::<Vec<_>>(), wanted);
}

impl Secured {
    fn send(&self, range: std::ops::Range<usize>) {
        self.world.send(&self.world.name("in"), &numbers(range));
    }

    fn await_output(&self, count: usize, weir: &Weir) {
        assert_once(&self.world.read_until(&self.world.name("out"), count, weir), count);
    }

    /// Closes the window of all `count` records: each is counted once, and nothing is left behind.
    fn close(&self, count: usize, weir: Weir) {
        let last = format!(r#"{{"ts":{},"k":"last","n":{count}}}"#, BASE_MS + 600_000).into_bytes();
        self.world.send(
            &self.world.name("in"),
            &[Sent { key: Some(b"k".to_vec()), value: Some(last), timestamp_ms: None }],
        );
        let rows = self.world.read_until(&self.world.name("rows"), 1, &weir);
        assert!(rows[0].text().contains(&format!(r#""count":{count}}}"#)), "{} of {count}", rows[0].text());
        weir.until_status("no problem", |status| status.problems.is_empty());
        assert_eq!(weir.stop(), Some(0));
        assert_once(&self.world.read(&self.world.name("out")), count + 1);
        assert_eq!(self.world.read(&self.world.name("rows")).len(), 1);
        for topic in ["late", "dlq"] {
            assert!(self.world.read(&self.world.name(topic)).is_empty(), "{topic}");
        }
    }

    /// The message without what differs from run to run.
    fn said(&self, problem: &Problem) -> String {
        let mut text = problem.message.replace(&self.world.unique, "UNIQUE");
        for name in ["TLS", "MTLS", "SASL"] {
            text = text.replace(&listener(name), name);
            let port = listener(name).split_once(':').unwrap().1.to_owned();
            text = text.replace(&format!("localhost:{port}"), &format!("localhost {name}"));
        }
        text.replace(&self.world.bootstrap, "PLAINTEXT")
    }
}

fn problem(weir: &Weir, reason: Reason) -> Problem {
    weir.until(reason.as_str(), || {
        let problems = weir.status()?.problems;
        problems.into_iter().find(|problem| problem.reason == Some(reason))
    })
}

/// A whole pipeline with exactly the rights that `weir topics` prints, killed on the way.
fn runs_exactly_once(way: Way) {
    let secured = Secured::new("ways", way);
    // Another way to give Secrets each time.
    let start = || if way == Way::Plain { secured.worker_with_variables() } else { secured.worker() };
    let weir = start();
    secured.send(0..50);
    secured.await_output(50, &weir);
    secured.send(50..100);
    weir.kill();
    let weir = start();
    secured.await_output(100, &weir);
    secured.close(100, weir);
}

#[test]
fn a_pipeline_runs_exactly_once_over_tls() {
    runs_exactly_once(Way::Tls);
}

#[test]
fn a_pipeline_runs_exactly_once_with_a_client_certificate() {
    runs_exactly_once(Way::Mtls);
}

#[test]
fn a_pipeline_runs_exactly_once_with_plain() {
    runs_exactly_once(Way::Plain);
}

#[test]
fn a_pipeline_runs_exactly_once_with_scram_sha_256() {
    runs_exactly_once(Way::Scram256);
}

#[test]
fn a_pipeline_runs_exactly_once_with_scram_sha_512() {
    runs_exactly_once(Way::Scram512);
}

/// Starts with something wrong, waits for the problem, puts it right: everything comes once, without a restart.
fn refused_until_mended(
    mut secured: Secured,
    (reason, said): (Reason, &str),
    mend: impl FnOnce(&mut Secured),
) {
    secured.send(0..10);
    let mut weir = secured.worker();
    let problem = problem(&weir, reason);
    assert_eq!(secured.said(&problem), said);
    assert_eq!((problem.condition, problem.permanent), (Condition::SourcesConnected, false));
    assert!(weir.is_running(), "it waits");
    assert!(secured.world.read(&secured.world.name("out")).is_empty());
    mend(&mut secured);
    secured.await_output(10, &weir);
    secured.close(10, weir);
}

#[test]
fn a_wrong_certificate_authority_is_told() {
    let mut secured = Secured::new("ca", Way::Scram512);
    secured.set("ca", "ca.crt", &certificate("other.crt"));
    let said = "no login at SASL: SASL: the broker's certificate is not signed by the certificate authority in key `ca.crt` of Secret ca; put that of this cluster there";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        secured.set("ca", "ca.crt", &certificate("authority.crt"));
    });
}

#[test]
fn a_name_that_the_certificate_is_not_made_for_is_told() {
    let port = listener("MTLS").split_once(':').unwrap().1.to_owned();
    let mut secured = Secured::new("host", Way::Mtls);
    secured.set("access", "bootstrap.servers", &format!("localhost:{port}"));
    let said = "no login at localhost MTLS: localhost MTLS: the broker's certificate is not made for `localhost`; use an address that it is made for, or renew it with this one as a subject alternative name";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        secured.set("access", "bootstrap.servers", &listener("MTLS"));
    });
}

#[test]
fn a_wrong_password_is_told() {
    let mut secured = Secured::new("password", Way::Scram512);
    secured.set("user", "password", "wrong");
    let said = "no login at SASL: SASL: user `u-UNIQUE` was refused: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512; check the name and the password in key `password` of Secret user";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        secured.set("user", "password", PASSWORD);
    });
}

#[test]
fn a_wrong_plain_password_is_told() {
    let mut secured = Secured::new("plain", Way::Plain);
    secured.set("user", "password", "wrong");
    let said = "no login at SASL: SASL: user `plain-user` was refused: Authentication failed: Invalid username or password; check the name and the password in key `password` of Secret user";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        secured.set("user", "password", "plain-secret");
    });
}

#[test]
fn a_user_that_nobody_knows_is_told() {
    let mut secured = Secured::new("user", Way::Scram512);
    let late = format!("late-{}", secured.world.unique);
    secured.set("user", "sasl.jaas.config", &jaas(&late));
    let said = "no login at SASL: SASL: user `late-UNIQUE` was refused: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512; check the name and the password in key `password` of Secret user";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        grant(&secured.world.bootstrap, &format!("User:{late}"), &secured.acls());
        set_password(&secured.world.bootstrap, &late, PASSWORD);
    });
}

#[test]
fn an_expired_client_certificate_is_told() {
    let mut secured = Secured::new("expired", Way::Mtls);
    secured.set("access", "ssl.keystore.crt", &certificate("expired.crt"));
    secured.set("access", "ssl.keystore.key", &certificate("expired.key"));
    let said = "no login at MTLS: MTLS: the broker refuses the client certificate in key `ssl.keystore.crt` of Secret access (CertificateUnknown); it has expired, or the broker does not trust its certificate authority: renew it";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        // Between the two files the pair does not fit, which changes nothing.
        secured.set("access", "ssl.keystore.crt", &certificate("client.crt"));
        secured.set("access", "ssl.keystore.key", &certificate("client.key"));
    });
}

#[test]
fn a_client_certificate_that_is_missing_is_told() {
    let secured = Secured::new("mutual", Way::Mtls);
    let mut secured = secured.reached(&format!(
        "bootstrapServers: '{}', secretRef: {{name: user}}, tls: {{caSecretKeyRef: {{name: ca, key: ca.crt}}}}",
        listener("MTLS")
    ));
    secured.set("user", "nothing", "yet");
    let said = "no login at MTLS: MTLS: the broker wants a client certificate; set tls.certSecretKeyRef and tls.keySecretKeyRef";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        secured.set("user", "user.key", &certificate("client.key"));
        secured.set("user", "user.crt", &certificate("client.crt"));
    });
}

#[test]
fn plain_text_at_a_listener_with_tls_is_told() {
    let mut secured = Secured::new("plaintext", Way::Mtls);
    secured.set("access", "bootstrap.servers", &listener("TLS"));
    secured.set("access", "security.protocol", "PLAINTEXT");
    let said = "broker TLS cannot be reached: TLS: it speaks TLS at this address; set spec.kafka.tls, or use the address of another listener";
    refused_until_mended(secured, (Reason::BrokerUnreachable, said), |secured| {
        secured.set("access", "security.protocol", "SSL");
    });
}

#[test]
fn tls_at_a_listener_in_plain_text_is_told() {
    let mut secured = Secured::new("tls", Way::Mtls);
    let plain = secured.world.bootstrap.clone();
    secured.set("access", "bootstrap.servers", &plain);
    let said = "broker PLAINTEXT cannot be reached: PLAINTEXT: it closed the connection during the TLS handshake; this listener seems not to speak TLS: use the address of one that does";
    refused_until_mended(secured, (Reason::BrokerUnreachable, said), |secured| {
        secured.set("access", "bootstrap.servers", &listener("MTLS"));
    });
}

#[test]
fn a_login_where_none_is_taken_is_told() {
    let secured = Secured::new("none", Way::Scram512);
    let mut secured =
        secured.reached("secretRef: {name: user}, tls: {caSecretKeyRef: {name: ca, key: ca.crt}}");
    secured.set("user", "bootstrap.servers", &listener("TLS"));
    let said = "no login at TLS: TLS: this listener takes no login: remove sasl, or use the address of one that does";
    refused_until_mended(secured, (Reason::AuthFailed, said), |secured| {
        secured.set("user", "bootstrap.servers", &listener("SASL"));
    });
}

/// A right on a resource, and what is said when it is gone.
struct Right {
    kind: &'static str,
    name: String,
    operations: &'static [&'static str],
    condition: Condition,
    /// What was tried.
    tried: &'static str,
    /// What is missing.
    lacks: &'static str,
}

/// In an order in which the first one is missed before there is a snapshot: its store has transactional ids, too.
fn rights(world: &World) -> [Right; 4] {
    let own = format!("weir.default.{}", world.unique);
    let (sources, sinks) = (Condition::SourcesConnected, Condition::SinksConnected);
    [
        Right {
            kind: "TransactionalId",
            name: format!("{own}."),
            operations: &["Write", "Describe"],
            condition: sinks,
            tried: "init_transactions",
            lacks: "the right Write on transactional id `weir.default.UNIQUE.",
        },
        Right {
            kind: "Topic",
            name: world.name("in"),
            operations: &["Read"],
            condition: sources,
            tried: "poll",
            lacks: "the right Read on topic `UNIQUE.in`",
        },
        Right {
            kind: "Topic",
            name: world.name("out"),
            operations: &["Write"],
            condition: sinks,
            tried: "produce",
            lacks: "the right Write on topic `UNIQUE.out`",
        },
        Right {
            kind: "Group",
            name: own,
            operations: &["Read"],
            condition: sources,
            tried: "commit_offsets",
            lacks: "the right Read on the consumer group of the pipeline",
        },
    ]
}

#[test]
fn a_right_that_is_missing_at_the_start_is_named() {
    let secured = Secured::new("rights", Way::Scram512);
    let all = secured.acls();
    let user = secured.user.clone();
    let missing = |secured: &Secured, weir: &Weir, right: &Right| {
        let problem = problem(weir, Reason::AuthFailed);
        let said = secured.said(&problem);
        let start = format!("{} was refused: the user lacks {}", right.tried, right.lacks);
        assert!(said.starts_with(&start), "{said}");
        assert!(said.ends_with("; `weir topics FILE` prints the rights of a pipeline"), "{said}");
        assert_eq!((problem.condition, problem.permanent), (right.condition, false));
    };
    let mut sent = 0;
    // A worker that runs does not ask for this again.
    let describe = Right {
        kind: "Topic",
        name: secured.world.name("in"),
        operations: &["DescribeConfigs"],
        condition: Condition::SourcesConnected,
        tried: "describe",
        lacks: "the right DescribeConfigs on topic `UNIQUE.in`",
    };
    for right in rights(&secured.world).into_iter().chain([describe]) {
        let acl = secured.acl(right.kind, &right.name);
        revoke(&secured.world.bootstrap, &user, &acl, right.operations);
        secured.send(sent..sent + 10);
        sent += 10;
        let weir = secured.worker();
        missing(&secured, &weir, &right);
        grant(&secured.world.bootstrap, &user, &all);
        secured.await_output(sent, &weir);
        weir.until_status("no problem", |status| status.problems.is_empty());
        assert_eq!(weir.stop(), Some(0));
    }
    secured.close(sent, secured.worker());
}

#[test]
fn a_right_that_is_revoked_in_the_middle_is_named_and_nothing_is_lost() {
    let secured = Secured::new("revoked", Way::Mtls);
    let all = secured.acls();
    let user = secured.user.clone();
    let weir = secured.worker();
    secured.send(0..10);
    secured.await_output(10, &weir);
    let mut sent = 10;
    for right in rights(&secured.world) {
        let acl = secured.acl(right.kind, &right.name);
        revoke(&secured.world.bootstrap, &user, &acl, right.operations);
        secured.send(sent..sent + 10);
        sent += 10;
        let problem = problem(&weir, Reason::AuthFailed);
        let said = secured.said(&problem);
        assert!(said.contains(&format!("was refused: the user lacks {}", right.lacks)), "{said}");
        grant(&secured.world.bootstrap, &user, &all);
        secured.await_output(sent, &weir);
        weir.until_status("no problem", |status| status.problems.is_empty());
    }
    secured.close(sent, weir);
}

#[test]
fn a_rotated_password_is_taken_up_without_a_restart() {
    let mut secured = Secured::new("rotated", Way::Scram512);
    let mut weir = secured.worker();
    secured.send(0..10);
    secured.await_output(10, &weir);
    let name = format!("u-{}", secured.world.unique);
    // The Secret comes first: what the broker does not take yet changes nothing.
    secured.set("user", "password", "second");
    weir.until_said("the changed Secrets of Kafka are not used yet");
    secured.send(10..20);
    secured.await_output(20, &weir);
    set_password(&secured.world.bootstrap, &name, "second");
    weir.until_said("the way to Kafka has changed");
    secured.send(20..30);
    secured.await_output(30, &weir);
    // The broker comes first: connections that there are go on.
    set_password(&secured.world.bootstrap, &name, "third");
    secured.send(30..40);
    secured.await_output(40, &weir);
    secured.set("user", "password", "third");
    weir.until_status("new clients", |status| status.worker_restarts >= 2);
    secured.send(40..50);
    secured.await_output(50, &weir);
    assert!(weir.is_running());
    secured.close(50, weir);
}

#[test]
fn a_rotated_client_certificate_is_taken_up_without_a_restart() {
    let mut secured = Secured::new("renewed", Way::Mtls);
    let mut weir = secured.worker();
    secured.send(0..10);
    secured.await_output(10, &weir);
    secured.set("access", "ssl.keystore.crt", &certificate("next.crt"));
    weir.until_said("the Secrets of Kafka cannot be used now");
    secured.set("access", "ssl.keystore.key", &certificate("next.key"));
    weir.until_said("the way to Kafka has changed");
    secured.send(10..20);
    secured.await_output(20, &weir);
    assert!(weir.is_running());
    secured.close(20, weir);
}

#[test]
fn what_asks_for_tls_says_nothing_in_plain_text() {
    let fake = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut secured = Secured::new("fallback", Way::Scram512)
        .reached("secretRef: {name: user}, tls: {caSecretKeyRef: {name: ca, key: ca.crt}}");
    secured.set("user", "bootstrap.servers", &fake.local_addr().unwrap().to_string());
    let weir = secured.worker();
    for _attempt in 0..3 {
        let (mut stream, _) = fake.accept().unwrap();
        let mut said = [0; 64];
        stream.read_exact(&mut said).unwrap();
        // A handshake record of TLS, with a ClientHello.
        assert_eq!((said[0], said[1], said[5]), (0x16, 0x03, 0x01));
    }
    let problem = problem(&weir, Reason::BrokerUnreachable);
    assert!(problem.message.contains("this listener seems not to speak TLS"), "{}", problem.message);
}
