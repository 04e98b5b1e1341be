//! The same over S3's protocol: an independent server of it (`s3s`), which checks signatures.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use stagedoor_archive::{BackupStore, Class, Trusted, verify};
use tokio::net::TcpListener;
use url::Url;

use crate::support::{Scene, opening};

const ACCESS: &str = "stagedoor";
const SECRET: &str = "a secret of the test";

/// A server over `folder`, for as long as the test runs.
async fn serve(folder: &std::path::Path) -> String {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
    builder.set_auth(SimpleAuth::from_single(ACCESS, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            connections.spawn(async move {
                let connections = Builder::new(TokioExecutor::new());
                connections.serve_connection(TokioIo::new(stream), service).await
            });
        }
    };
    stagedoor_bootstrap::tasks::spawn("s3", accept);
    format!("http://{address}")
}

fn options(endpoint: &str, secret: &str) -> Vec<(String, String)> {
    let given = [
        ("AWS_ENDPOINT", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", ACCESS),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("PATH", "/usr/bin"),
    ];
    given.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn backups_are_kept_in_a_bucket() {
    stagedoor_bootstrap::tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("evidence")).unwrap();
    let endpoint = serve(folder.path()).await;
    let url = Url::parse("s3://evidence/backups/of acme").unwrap();
    let store = BackupStore::open(&url, options(&endpoint, SECRET)).unwrap();
    let scene = Scene::new();
    let trusted = Trusted { keys: &scene.keys, verifying: &[] };
    let first = scene.write(&store, opening(1, Class::Sessions, 1), 100).await.unwrap();
    let second = scene.write(&store, opening(2, Class::Audit, 2), 3).await.unwrap();
    assert!(first.chunks.len() > 4);
    for manifest in [&first, &second] {
        let report = verify(&store, &manifest.found(), trusted).await.unwrap();
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.bytes, manifest.bytes());
    }
    assert_eq!(store.list(None).await.unwrap().found, [first.found(), second.found()]);
    assert_eq!(store.tenants().await.unwrap(), [first.tenant_id, second.tenant_id]);

    // What an object's bytes are in the bucket is what was sealed.
    let chunk =
        folder.path().join("evidence/backups/of acme").join(first.found().folder()).join("chunk-00001");
    let mut bytes = std::fs::read(&chunk).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&chunk, bytes).unwrap();
    let report = verify(&store, &first.found(), trusted).await.unwrap();
    assert_eq!((report.damages.len(), report.damages[0].chunk), (1, Some(1)), "{report:?}");

    store.remove(&first.found()).await.unwrap();
    assert_eq!(store.list(Some(first.tenant_id)).await.unwrap().found, []);
    assert_eq!(store.list(None).await.unwrap().found, [second.found()]);

    let stranger = BackupStore::open(&url, options(&endpoint, "another secret")).unwrap();
    assert!(stranger.list(None).await.is_err());
}
