//! What one principal's calls came to: the same as the tenant's figures of it, of every span, and found by an index.

use chrono::TimeDelta;
use stagedoor_domain::Clock as _;
use stagedoor_storage::usage::{self, GroupBy, Period, UsageFilter, UsageQuery};

use crate::attempts::in_tenant;
use crate::support::Database;
use crate::usage::{append, keeper, line, roll};

const SPANS: [TimeDelta; 3] = [TimeDelta::hours(1), TimeDelta::days(1), TimeDelta::days(30)];

#[tokio::test]
async fn spans_of_a_principal_are_what_the_tenants_figures_say() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database).await;
    let now = Period::Minute.begin(database.clock.now());
    let mut lines = Vec::new();
    for back in (1..60 * 30).step_by(7) {
        let minute = now - TimeDelta::minutes(back);
        lines.push(line(minute, Some(ada.user), "key:a", (2, 5)));
        lines.push(line(minute, Some(ada.user), "key:b", (3, 5)));
        // Not the person's, though by the same key.
        lines.push(line(minute, None, "key:a", (5, 5)));
    }
    append(&database, &ada, 1, &lines).await;
    for when in ["before", "rolled up"] {
        let principal = ("key:a", Some(ada.user));
        let found =
            in_tenant(&database, &ada, async |tx| usage::of_principal(tx, principal, now, &SPANS).await)
                .await;
        for (span, sums) in SPANS.into_iter().zip(&found.spans) {
            let filter = UsageFilter {
                user: Some(ada.user),
                principal: Some("key:a".to_owned()),
                ..UsageFilter::default()
            };
            let query =
                UsageQuery { from: now - span, to: now, group_by: GroupBy::default(), filter, skip: 0 };
            let told = in_tenant(&database, &ada, async |tx| usage::query(tx, &query, 9).await).await;
            let [line] = &told.lines[..] else { panic!("{told:?}") };
            assert_eq!((line.figures, line.latency), (sums.figures, sums.latency), "{when}: {span}");
        }
        assert_eq!(found.spans[0].figures.calls, 2 * 9, "{when}");
        let [(tool, sums)] = &found.tools[..] else { panic!("{found:?}") };
        assert_eq!((tool.as_str(), *sums), ("search", found.spans[2]), "{when}");
        roll(&keeper, &ada, now).await;
    }
    let nobody =
        in_tenant(&database, &ada, async |tx| usage::of_principal(tx, ("key:z", None), now, &SPANS).await)
            .await;
    assert!(nobody.tools.is_empty() && nobody.spans.iter().all(|sums| sums.figures.is_empty()));
}
