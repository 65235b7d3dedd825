//! From a bucket and its credentials to a client of its cloud.

use super::ObjectError;
use super::credentials::{AUTHORITIES, Credentials, CredentialsError, GOOGLE_KEY};
use super::fault::Answer;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use pipeline::plan::{Bucket, Cloud};
use std::sync::Arc;
use std::time::Duration;

/// A client of some cloud.
pub(super) type Client = Arc<dyn object_store::ObjectStore>;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take, with all that it carries: at most [`super::PART_BYTES`].
const REQUEST: Duration = Duration::from_secs(30);
/// How often a request is repeated, and how long after its beginning it may be.
const RETRIES_MAX: usize = 4;
const RETRY_WITHIN: Duration = Duration::from_secs(40);

/// Opens a bucket again and again, with the credentials that there are now: a client is kept while they stay the same.
///
/// `read` gives those of the Secret, and is not called without one: then the environment gives them. A Secret that cannot
/// be read, or is incomplete, changes nothing once the bucket is open: it may be half-way through a change.
pub(super) fn opener(
    bucket: Bucket,
    mut read: impl FnMut() -> Result<Credentials, CredentialsError> + Send + 'static,
) -> impl FnMut() -> Result<Client, ObjectError> + Send {
    let mut open: Option<(Option<Credentials>, Client)> = None;
    move || {
        let given = match bucket.secret.is_some().then(&mut read).transpose() {
            Ok(given) => given,
            Err(source) => {
                let Some((_, client)) = &open else { return Err(ObjectError::Credentials(source)) };
                tracing::warn!(bucket = %bucket, "the changed Secret of checkpoint.storage is not used: {source}");
                return Ok(client.clone());
            }
        };
        if let Some((with, client)) = &open
            && *with == given
        {
            return Ok(client.clone());
        }
        if open.is_some() {
            tracing::info!(bucket = %bucket, "the Secret of checkpoint.storage has changed");
        }
        let client = client(&bucket, given.as_ref())
            .map_err(|error| ObjectError::Open { bucket: bucket.to_string(), source: Answer::of(&error) })?;
        open = Some((given, client.clone()));
        Ok(client)
    }
}

fn client(bucket: &Bucket, given: Option<&Credentials>) -> object_store::Result<Client> {
    // The client of HTTP takes the provider of the process; only the first one that is installed counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(match bucket.cloud {
        Cloud::S3 => Arc::new(s3(bucket, given)?.build()?),
        Cloud::Google => Arc::new(google(bucket, given)?.build()?),
        Cloud::Azure => Arc::new(azure(bucket, given)?.build()?),
    })
}

fn s3(bucket: &Bucket, given: Option<&Credentials>) -> object_store::Result<AmazonS3Builder> {
    let mut builder = match given {
        None => AmazonS3Builder::from_env(),
        Some(given) => given.settings().try_fold(AmazonS3Builder::new(), |builder, (key, value)| {
            let key: AmazonS3ConfigKey = key.to_ascii_lowercase().parse()?;
            Ok::<_, object_store::Error>(builder.with_config(key, value))
        })?,
    };
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    let plain_text = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    Ok(builder
        .with_bucket_name(&bucket.name)
        .with_client_options(options(given)?.with_allow_http(plain_text))
        .with_retry(retries())
        // Few are deleted at a time, and not every store knows how to delete several at once.
        .with_disable_bulk_delete(true))
}

fn google(bucket: &Bucket, given: Option<&Credentials>) -> object_store::Result<GoogleCloudStorageBuilder> {
    let builder = match given {
        None => GoogleCloudStorageBuilder::from_env(),
        Some(given) => {
            let key = GOOGLE_KEY.iter().find_map(|key| given.get(key)).unwrap_or_default();
            GoogleCloudStorageBuilder::new().with_service_account_key(key)
        }
    };
    Ok(builder.with_bucket_name(&bucket.name).with_client_options(options(given)?).with_retry(retries()))
}

fn azure(bucket: &Bucket, given: Option<&Credentials>) -> object_store::Result<MicrosoftAzureBuilder> {
    let mut builder = match given {
        None => MicrosoftAzureBuilder::from_env(),
        Some(given) => given.settings().try_fold(MicrosoftAzureBuilder::new(), |builder, (key, value)| {
            let key: AzureConfigKey = key.to_ascii_lowercase().parse()?;
            Ok::<_, object_store::Error>(builder.with_config(key, value))
        })?,
    };
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
        // An identity does not say which account is meant; the address of an account begins with its name.
        if builder.get_config_value(&AzureConfigKey::AccountName).is_none()
            && let Some(account) = account_of(endpoint)
        {
            builder = builder.with_account(account);
        }
    }
    Ok(builder.with_container_name(&bucket.name).with_client_options(options(given)?).with_retry(retries()))
}

fn account_of(endpoint: &str) -> Option<&str> {
    let host = endpoint.split_once("://")?.1.split(['/', ':']).next()?;
    host.split_once('.').map(|(account, _)| account)
}

fn options(given: Option<&Credentials>) -> object_store::Result<ClientOptions> {
    let mut options = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST);
    if let Some(authorities) = given.and_then(|given| given.get(AUTHORITIES)) {
        let certificates = Certificate::from_pem_bundle(authorities.as_bytes())?;
        if certificates.is_empty() {
            let source = format!("key `{AUTHORITIES}` holds no certificate in PEM form").into();
            return Err(object_store::Error::Generic { store: "TLS", source });
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        // Four of them last about as long as a server takes to be started again.
        init_backoff: Duration::from_millis(250),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_WITHIN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::object::Secret;

    fn bucket(cloud: Cloud, endpoint: Option<&str>, secret: bool) -> Bucket {
        Bucket {
            cloud,
            name: "state".to_owned(),
            prefix: String::new(),
            endpoint: endpoint.map(str::to_owned),
            region: None,
            secret: secret.then(|| "s".to_owned()),
        }
    }

    fn opened(
        bucket: Bucket,
        entries: &'static [(&'static str, &'static str)],
    ) -> Result<Client, ObjectError> {
        let cloud = bucket.cloud;
        opener(bucket, move || {
            let read = |_: &str, key: &str| {
                let found = entries.iter().find(|(name, _)| *name == key);
                Ok(found.map(|(_, value)| value.as_bytes().to_vec()))
            };
            Credentials::read(cloud, &Secret { name: "s", read: &read, place: "here".to_owned() })
        })()
    }

    #[test]
    fn every_cloud_opens_with_its_own_keys() {
        let s3 = opened(
            bucket(Cloud::S3, Some("https://minio:9000"), true),
            &[
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "hush"),
                ("AWS_SESSION_TOKEN", "token"),
                ("AWS_REGION", "eu-1"),
                ("AWS_ENDPOINT_URL", "https://elsewhere"),
            ],
        );
        assert_eq!(s3.unwrap().to_string(), "AmazonS3(state)");
        for key in ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"] {
            let entries: &'static [(&str, &str)] = match key {
                "AZURE_STORAGE_ACCOUNT_KEY" => {
                    &[("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "aGk=")]
                }
                _ => &[("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")],
            };
            let azure = opened(bucket(Cloud::Azure, None, true), entries).unwrap().to_string();
            assert!(azure.contains("state"), "{azure}");
        }
        let google = opened(
            bucket(Cloud::Google, None, true),
            &[(
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                r#"{"gcs_base_url":"https://localhost","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}"#,
            )],
        );
        assert_eq!(google.unwrap().to_string(), "GoogleCloudStorage(state)");
    }

    #[test]
    fn without_a_secret_the_environment_gives_them() {
        for bucket in [
            bucket(Cloud::S3, None, false),
            bucket(Cloud::Google, None, false),
            bucket(Cloud::Azure, Some("https://account.blob.core.windows.net"), false),
        ] {
            let cloud = bucket.cloud;
            assert!(opened(bucket, &[]).is_ok(), "{cloud:?}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_used_is_told_and_not_shown() {
        let error =
            opened(bucket(Cloud::Google, None, true), &[("GOOGLE_SERVICE_ACCOUNT_KEY", "hush")]).unwrap_err();
        assert!(error.to_string().starts_with("gs://state cannot be opened: look at the Secret"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!cause.contains("hush"), "{cause}");
        let authorities: &'static [(&str, &str)] =
            &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("ca.crt", "no certificate")];
        let error = opened(bucket(Cloud::S3, None, true), authorities).unwrap_err();
        assert!(matches!(error, ObjectError::Open { .. }), "{error}");
    }

    #[test]
    fn the_account_is_the_beginning_of_its_address() {
        assert_eq!(account_of("https://acme.blob.core.windows.net"), Some("acme"));
        assert_eq!(account_of("https://localhost:10000/acme"), None);
    }
}
