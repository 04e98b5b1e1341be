{{/* The keeper's jobs: arguments, the database roles that each needs, whether it looks at Redis, whether it is about
     backups. Schedules are values. */}}
{{- define "stagedoor.jobs" -}}
partitions: {args: [partitions]}
seal: {args: [seal]}
retention-cache: {args: [retention, --part, cache], redis: true}
rollup: {args: [rollup]}
listening: {args: [listening], redis: true}
backup: {args: [backup], databases: [backup], backups: true}
verify: {args: [verify]}
retention-daily: {args: [retention, --part, daily]}
rotate-sessions: {args: [rotate-sessions]}
rotate-keys: {args: [rotate-keys]}
retention-audit: {args: [retention, --part, audit]}
verify-backups: {args: [verify-backups], databases: [backup], backups: true}
drill: {args: [restore, drill], databases: [owner], backups: true}
doctor: {args: [doctor], redis: true}
{{- end -}}
