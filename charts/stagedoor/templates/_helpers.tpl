{{/* Names, labels and checks that all templates share. */}}

{{/* A label of DNS that begins with a letter, as names of Services are. Nearly every template begins with it, so it is also what
     tells of values that cannot be rendered. */}}
{{- define "stagedoor.fullname" -}}
{{- if and (.Values.operator).enabled (not (and (.Values.operator).admin (.Values.networkPolicy).adminApi (.Values.serviceAccounts).operator)) }}{{ fail "these are the values of an older chart: helm upgrade with --reset-then-reuse-values instead of --reuse-values" }}{{ end -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) .Values.fullnameOverride -}}
{{- $full = $full | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" $full) }}{{ fail (printf "%s is no name of a Service, which begins with a letter: set fullnameOverride" $full) }}{{ end -}}
{{- $full -}}
{{- end -}}

{{- define "stagedoor.image" -}}
{{- $image := .Values.image -}}
{{- if not $image.repository }}{{ fail "image.repository is not set: where your build of the Dockerfile is, such as registry.example.com/stagedoor" }}{{ end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Takes (dict "root" $ "component" NAME). */}}
{{- define "stagedoor.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "stagedoor.labels" -}}
{{ include "stagedoor.selector" . }}
app.kubernetes.io/part-of: stagedoor
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Where each Secret is: the one that is named, or the trial's. Takes (dict "root" $ "of" NAME). */}}
{{- define "stagedoor.secret" -}}
{{- $trial := dict "database" .root.Values.trial.postgresql.enabled "redis" .root.Values.trial.valkey.enabled "keyEncryption" .root.Values.trial.keys "pepper" .root.Values.trial.keys -}}
{{- $own := dict "database" "trial-database" "redis" "trial-redis" "keyEncryption" "trial-keys" "pepper" "trial-pepper" -}}
{{- $named := (index .root.Values.secrets .of).existingSecret -}}
{{- if $named -}}
{{- $named -}}
{{- else if get $trial .of -}}
{{- printf "%s-%s" (include "stagedoor.fullname" .root) (get $own .of) -}}
{{- end -}}
{{- end -}}

{{- define "stagedoor.publicHost" -}}
{{- $url := urlParse .Values.config.server.public_url -}}
{{- regexReplaceAll ":[0-9]+$" $url.host "" -}}
{{- end -}}

{{/* Whether the admin API is served by the component; "true" or nothing. */}}
{{- define "stagedoor.servesAdmin" -}}
{{- $admin := .root.Values.admin -}}
{{- if and $admin.enabled (eq .component (ternary "admin" "gateway" (eq $admin.placement "dedicated"))) }}true{{ end -}}
{{- end -}}

{{/* Rules between values that a schema cannot say. */}}
{{- define "stagedoor.check" -}}
{{- $v := .Values -}}
{{- if not $v.config.server.public_url }}{{ fail "config.server.public_url is not set: the address that agents and people use, such as https://music.example.com" }}{{ end -}}
{{- if not (include "stagedoor.secret" (dict "root" . "of" "database")) }}{{ fail "secrets.database.existingSecret is not set, and trial.postgresql.enabled neither" }}{{ end -}}
{{- if not (include "stagedoor.secret" (dict "root" . "of" "pepper")) }}{{ fail "secrets.pepper.existingSecret is not set, and trial.keys neither" }}{{ end -}}
{{- $transit := dig "encryption" "transit" nil $v.config -}}
{{- $places := list -}}
{{- if include "stagedoor.secret" (dict "root" . "of" "keyEncryption") }}{{ $places = append $places "directory" }}{{ end -}}
{{- if $v.secrets.passphrase.existingSecret }}{{ $places = append $places "passphrase" }}{{ end -}}
{{- if $transit }}{{ $places = append $places "transit" }}{{ end -}}
{{- if not $places }}{{ fail "there is no key-encryption key: set secrets.keyEncryption.existingSecret, secrets.passphrase.existingSecret, config.encryption.transit or trial.keys" }}{{ end -}}
{{- if and (gt (len $places) 1) (not (dig "encryption" "wrap_with" "" $v.config)) }}{{ fail (printf "config.encryption.wrap_with is not set: which of %s wraps new keys" (join ", " $places)) }}{{ end -}}
{{- if and (not (include "stagedoor.secret" (dict "root" . "of" "redis"))) (or (gt (int $v.gateway.replicas) 1) $v.gateway.autoscaling.enabled (and $v.admin.enabled (eq $v.admin.placement "dedicated"))) }}
{{- fail "several replicas need Redis: set secrets.redis.existingSecret (or trial.valkey.enabled), or gateway.replicas: 1, gateway.autoscaling.enabled: false and admin.placement: gateway (or admin.enabled: false)" }}{{ end -}}
{{- if and $v.admin.enabled (not $v.admin.tls.existingSecret) (not $v.admin.tls.terminatedElsewhere) }}{{ fail "the admin API needs TLS: set admin.tls.existingSecret, or admin.tls.terminatedElsewhere where something in front ends TLS, or admin.enabled: false" }}{{ end -}}
{{- if and $v.admin.tls.clientAuthoritySecret (not $v.admin.tls.existingSecret) }}{{ fail "admin.tls.clientAuthoritySecret: client certificates are a part of TLS, and admin.tls.existingSecret is not set" }}{{ end -}}
{{- if and $v.keeper.rotateKeysInSecret (not (has "directory" $places)) }}{{ fail "keeper.rotateKeysInSecret needs secrets.keyEncryption.existingSecret" }}{{ end -}}
{{- if and $v.trial.postgresql.enabled (eq $v.migration.mode "hook") }}{{ fail "trial.postgresql.enabled: the database is not there yet when a hook runs; set migration.mode: job" }}{{ end -}}
{{- with $v.gateway.autoscaling }}{{ if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}{{ fail (printf "gateway.autoscaling.minReplicas, %d, is more than maxReplicas, %d" (int .minReplicas) (int .maxReplicas)) }}{{ end }}{{ end -}}
{{- if and $v.monitoring.kind (not (dig "metrics" "enabled" true $v.config)) }}{{ fail "monitoring.kind is set, and config.metrics.enabled is false" }}{{ end -}}
{{- if and ($v.secrets.telemetryHeaders).existingSecret (not (dig "telemetry" "otlp_endpoint" "" $v.config)) }}{{ fail "secrets.telemetryHeaders is for config.telemetry.otlp_endpoint, which is not set" }}{{ end -}}
{{- range $section := list "gateway" "admin" "keeper" "operator" }}{{ range (index $v $section).extraEnv }}
{{- if .value }}{{ include "stagedoor.environmentCheck" (dict "section" $section "name" .name "value" (toString .value)) }}{{ end -}}
{{- end }}{{ end -}}
{{- if ($v.operator).enabled }}{{ include "stagedoor.operatorCheck" . }}{{ end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}{{ fail "httpRoute.parentRefs is empty: which Gateway serves the route" }}{{ end -}}
{{- end -}}

{{/* A secret is no value. Takes (dict "section" NAME "name" NAME "value" TEXT) of a variable that is written out. */}}
{{- define "stagedoor.environmentCheck" -}}
{{- $secret := and (regexMatch "(?i)SECRET|PASSWORD|PASSPHRASE|TOKEN|_KEY$" .name) (not (regexMatch "(?i)_(FILE|DIRECTORY|PATH)$" .name)) -}}
{{- $reference := regexMatch "^[$][(][A-Za-z0-9_]+[)]$" .value -}}
{{- if or (and $secret (not $reference)) (regexMatch "://[^/@\\s]*:[^/@\\s$]+@" .value) -}}
{{- fail (printf "%s.extraEnv: %s is a secret by its name or value, and no value of the chart is one: refer to a Secret with valueFrom.secretKeyRef" .section .name) -}}
{{- end -}}
{{- end -}}
