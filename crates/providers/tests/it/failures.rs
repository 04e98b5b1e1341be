//! Every method of both providers against every fault that the sandbox can play.

use std::time::Duration;

use stagedoor_domain::{ErrorCode, Fault, Provider};
use stagedoor_providers::{Access, Deadline, ForbiddenReason, HttpOptions, ProviderError, TransportError};
use stagedoor_sandbox::{Effect, FaultRule};

use crate::every::{Method, Targets};
use crate::fixture::Fixture;

/// Runs each of `methods` under `effect`, each with a new HTTP client, so that no breaker or budget is left over.
async fn under(
    effect: Effect,
    methods: impl Fn(Provider) -> Vec<Method>,
    change: impl Fn(&mut HttpOptions),
    check: impl Fn(Provider, Method, ProviderError),
) {
    for provider in Provider::ALL.iter().copied() {
        let mut fixture = Fixture::start(provider).await;
        let targets = Targets::of(&fixture).await;
        fixture.sandbox.faults().push(FaultRule::new(provider, effect.clone()));
        for method in methods(provider) {
            fixture.renew_client(&change);
            let outcome = method.run(&fixture, &targets).await;
            let error = outcome.expect_err(&format!("{provider} {method:?}"));
            assert_eq!(error.provider(), provider, "{method:?}");
            assert!(error.public().message.contains(provider.title()), "{}", error.public().message);
            check(provider, method, error);
        }
    }
}

#[tokio::test]
async fn status_401_means_the_token() {
    under(
        Effect::status(401),
        Method::api,
        |_| (),
        |provider, method, error| {
            assert!(matches!(error, ProviderError::Unauthorized { .. }), "{provider} {method:?}: {error:?}");
            assert_eq!((error.code(), error.fault()), (ErrorCode::RelinkNeeded, Fault::Caller));
        },
    )
    .await;
    under(
        Effect::status(401),
        |_| Method::TOKEN.to_vec(),
        |_| (),
        |provider, method, error| {
            assert!(matches!(error, ProviderError::Misconfigured { .. }), "{provider} {method:?}: {error:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn status_403_says_what_it_can() {
    under(
        Effect::status(403),
        Method::api,
        |_| (),
        |provider, method, error| {
            let ProviderError::Forbidden { reason, .. } = error else {
                panic!("{provider} {method:?}: {error:?}");
            };
            let expected = match (provider, method) {
                (Provider::Spotify, Method::Playlist | Method::PlaylistHead | Method::PlaylistContents) => {
                    ForbiddenReason::Ownership
                }
                // Spotify only takes it out of the library, which anyone may do.
                (Provider::Spotify, Method::DeletePlaylist) => ForbiddenReason::Unknown,
                (_, method) if method.edits() => ForbiddenReason::Ownership,
                _ => ForbiddenReason::Unknown,
            };
            assert_eq!(reason, expected, "{provider} {method:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn status_404_means_the_item() {
    under(
        Effect::status(404),
        Method::api,
        |_| (),
        |provider, method, error| {
            assert!(matches!(error, ProviderError::NotFound { .. }), "{provider} {method:?}: {error:?}");
            assert!(!error.retryable());
        },
    )
    .await;
}

#[tokio::test]
async fn status_429_passes_the_wait_on() {
    under(
        Effect::rate_limited(77),
        Method::every,
        |_| (),
        |provider, method, error| {
            assert_eq!(error.code(), ErrorCode::ProviderRateLimited, "{provider} {method:?}");
            assert_eq!(error.public().retry_after, Some(Duration::from_secs(77)), "{provider} {method:?}");
            assert!(error.retryable());
        },
    )
    .await;
}

#[tokio::test]
async fn status_5xx_is_the_providers_fault() {
    for status in [500, 503] {
        under(
            Effect::status(status),
            Method::every,
            |_| (),
            |provider, method, error| {
                let ProviderError::Unavailable { cause: TransportError::Status(shown), .. } = &error else {
                    panic!("{provider} {method:?}: {error:?}");
                };
                assert_eq!(*shown, status);
                assert_eq!(error.fault(), Fault::Provider);
                assert_eq!(error.uncertain(), method.is_uncertain(), "{provider} {method:?}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_not_the_api_is_not_believed() {
    for effect in [Effect::Garbage, Effect::WrongShape] {
        let methods = |provider| {
            let mut methods = Method::every(provider);
            methods.retain(|method| !method.is_only_acknowledged(provider));
            methods
        };
        under(
            effect.clone(),
            methods,
            |_| (),
            |provider, method, error| {
                assert_eq!(
                    error.code(),
                    ErrorCode::ProviderInvalidAnswer,
                    "{provider} {method:?} {effect:?}"
                );
                assert_eq!(error.uncertain(), method.is_uncertain(), "{provider} {method:?} {effect:?}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_huge_body_is_cut_off() {
    under(
        Effect::HugeBody { bytes: 2_000_000 },
        Method::every,
        |_| (),
        |provider, method, error| {
            assert!(matches!(error, ProviderError::BodyTooLarge { .. }), "{provider} {method:?}: {error:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn silence_ends_with_the_request_timeout() {
    let short = |options: &mut HttpOptions| options.request_timeout = Duration::from_millis(200);
    under(
        Effect::Hang,
        |_| vec![Method::Track, Method::EditPlaylist, Method::Refresh],
        short,
        |provider, method, error| {
            let ProviderError::Unavailable { cause: TransportError::TimedOut(_), uncertain, .. } = error
            else {
                panic!("{provider} {method:?}: {error:?}");
            };
            assert_eq!(uncertain, method.is_uncertain());
        },
    )
    .await;
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        let targets = Targets::of(&fixture).await;
        fixture.sandbox.faults().push(FaultRule::new(provider, Effect::Hang));
        let deadline = Deadline::after(&*fixture.clock, Duration::from_millis(50));
        let access = Access { deadline: Some(deadline), ..fixture.access() };
        let error = fixture.music().track(&fixture.ctx, &access, &targets.track).await.unwrap_err();
        assert!(matches!(error, ProviderError::DeadlineExceeded { uncertain: false, .. }), "{error:?}");
        assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
    }
}

#[tokio::test]
async fn a_closed_connection_is_no_answer() {
    under(
        Effect::CloseConnection,
        Method::every,
        |_| (),
        |provider, method, error| {
            assert_eq!(error.code(), ErrorCode::ProviderUnavailable, "{provider} {method:?}: {error:?}");
            assert_eq!(error.uncertain(), method.is_uncertain(), "{provider} {method:?}");
        },
    )
    .await;
}
