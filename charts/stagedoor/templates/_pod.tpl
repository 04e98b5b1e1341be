{{/* What all pods have in common: Restricted Pod Security, the least of secrets, scheduling. */}}

{{- define "stagedoor.podSecurity" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "stagedoor.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "stagedoor.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Over zones and nodes. Takes (dict "root" $ "component" NAME "over" SECTION). */}}
{{- define "stagedoor.spread" -}}
{{- if or .over.zone .over.node -}}
topologySpreadConstraints:
{{- $selector := include "stagedoor.selector" . }}
{{- range $key, $when := dict "topology.kubernetes.io/zone" .over.zone "kubernetes.io/hostname" .over.node }}
{{- if $when }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $when }}
    labelSelector:
      matchLabels: {{- $selector | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Headers for the collector: the variable, the mount, the volume. */}}
{{- define "stagedoor.headersEnv" -}}
{{- if (.Values.secrets.telemetryHeaders).existingSecret -}}
- name: STAGEDOOR_TELEMETRY__OTLP_HEADERS_FILE
  value: /etc/stagedoor/telemetry/headers
{{- end -}}
{{- end -}}

{{- define "stagedoor.headersMount" -}}
{{- if (.Values.secrets.telemetryHeaders).existingSecret -}}
- {name: telemetry-headers, mountPath: /etc/stagedoor/telemetry, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "stagedoor.headersVolume" -}}
{{- with .Values.secrets.telemetryHeaders -}}
{{- if .existingSecret -}}
- name: telemetry-headers
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .key }}, path: headers}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The environment of a container. Takes (dict "root" $ "component" NAME "databases" (list ROLE …) "redis" BOOL
     "config" BOOL "extra" LIST). */}}
{{- define "stagedoor.env" -}}
{{- $redis := include "stagedoor.secret" (dict "root" .root "of" "redis") -}}
{{- $variables := dict "app" "DATABASE_URL" "admin" "ADMIN_DATABASE_URL" "keeper" "KEEPER_DATABASE_URL" "backup" "BACKUP_DATABASE_URL" "owner" "OWNER_DATABASE_URL" -}}
env:
  {{- if .config }}
  - name: STAGEDOOR_CONFIG
    value: /etc/stagedoor/config/stagedoor.yaml
  {{- end }}
  {{- range .databases }}
  - name: STAGEDOOR_STORAGE__{{ get $variables . }}_FILE
    value: /etc/stagedoor/database/{{ . }}
  {{- end }}
  {{- if and .redis $redis }}
  - name: STAGEDOOR_CACHE__REDIS_URL_FILE
    value: /etc/stagedoor/redis/cache
  - name: STAGEDOOR_RATE_LIMITING__REDIS_URL_FILE
    value: /etc/stagedoor/redis/limits
  {{- end }}
  {{- if include "stagedoor.servesAdmin" . }}
  - name: STAGEDOOR_ADMIN__LISTEN
    value: 0.0.0.0:9443
  {{- if .root.Values.admin.tls.existingSecret }}
  - name: STAGEDOOR_ADMIN__CERTIFICATE_FILE
    value: /etc/stagedoor/admin-tls/tls.crt
  - name: STAGEDOOR_ADMIN__PRIVATE_KEY_FILE
    value: /etc/stagedoor/admin-tls/tls.key
  {{- end }}
  {{- if .root.Values.admin.tls.clientAuthoritySecret }}
  - name: STAGEDOOR_ADMIN__CLIENT_AUTHORITY_FILE
    value: /etc/stagedoor/admin-authority/ca.crt
  {{- end }}
  {{- end }}
  {{- if .config }}
  {{- with include "stagedoor.headersEnv" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with .extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if .config }}
{{- with .root.Values.secrets.objectStore.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes what stagedoor.env takes, `extra` being mounts. */}}
{{- define "stagedoor.mounts" -}}
volumeMounts:
  {{- if .config }}
  - {name: config, mountPath: /etc/stagedoor/config, readOnly: true}
  {{- if include "stagedoor.secret" (dict "root" .root "of" "keyEncryption") }}
  - {name: keys, mountPath: /etc/stagedoor/keys, readOnly: true}
  {{- end }}
  {{- if .root.Values.secrets.passphrase.existingSecret }}
  - {name: passphrases, mountPath: /etc/stagedoor/passphrases, readOnly: true}
  {{- end }}
  - {name: pepper, mountPath: /etc/stagedoor/pepper, readOnly: true}
  {{- if include "stagedoor.vaultToken" .root }}
  - {name: vault-token, mountPath: /var/run/secrets/stagedoor, readOnly: true}
  {{- end }}
  {{- with include "stagedoor.headersMount" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
  - {name: database, mountPath: /etc/stagedoor/database, readOnly: true}
  {{- if and .redis (include "stagedoor.secret" (dict "root" .root "of" "redis")) }}
  - {name: redis, mountPath: /etc/stagedoor/redis, readOnly: true}
  {{- end }}
  {{- if include "stagedoor.servesAdmin" . }}
  {{- if .root.Values.admin.tls.existingSecret }}
  - {name: admin-tls, mountPath: /etc/stagedoor/admin-tls, readOnly: true}
  {{- end }}
  {{- if .root.Values.admin.tls.clientAuthoritySecret }}
  - {name: admin-authority, mountPath: /etc/stagedoor/admin-authority, readOnly: true}
  {{- end }}
  {{- end }}
  {{- with .extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Takes what stagedoor.env takes, `extra` being volumes. */}}
{{- define "stagedoor.volumes" -}}
{{- $secrets := .root.Values.secrets -}}
volumes:
  {{- if .config }}
  - name: config
    configMap:
      name: {{ include "stagedoor.fullname" .root }}
  {{- with include "stagedoor.secret" (dict "root" .root "of" "keyEncryption") }}
  - name: keys
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- with $secrets.passphrase.existingSecret }}
  - name: passphrases
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  - name: pepper
    secret: {secretName: {{ include "stagedoor.secret" (dict "root" .root "of" "pepper") }}, defaultMode: 0440}
  {{- if include "stagedoor.vaultToken" .root }}
  - name: vault-token
    projected:
      defaultMode: 0440
      sources:
        - serviceAccountToken: {path: token, expirationSeconds: 3600}
  {{- end }}
  {{- with include "stagedoor.headersVolume" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
  - name: database
    secret:
      secretName: {{ include "stagedoor.secret" (dict "root" .root "of" "database") }}
      defaultMode: 0440
      items:
        {{- range .databases }}
        - {key: {{ get $secrets.database.keys . }}, path: {{ . }}}
        {{- end }}
  {{- if .redis }}
  {{- with include "stagedoor.secret" (dict "root" .root "of" "redis") }}
  - name: redis
    secret:
      secretName: {{ . }}
      defaultMode: 0440
      items:
        - {key: {{ $secrets.redis.keys.cache }}, path: cache}
        - {key: {{ $secrets.redis.keys.limits }}, path: limits}
  {{- end }}
  {{- end }}
  {{- if include "stagedoor.servesAdmin" . }}
  {{- with .root.Values.admin.tls.existingSecret }}
  - name: admin-tls
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- with .root.Values.admin.tls.clientAuthoritySecret }}
  - name: admin-authority
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- end }}
  {{- with .extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
