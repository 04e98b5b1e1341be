{{/* Where the operator finds the admin API and what it needs for that. */}}

{{/* The component that has this release's own admin API; nothing where the operator is told of another. */}}
{{- define "stagedoor.operatorServer" -}}
{{- if not .Values.operator.admin.url }}{{ ternary "admin" "gateway" (eq .Values.admin.placement "dedicated") }}{{ end -}}
{{- end -}}

{{- define "stagedoor.operatorUrl" -}}
{{- with .Values.operator.admin -}}
{{- if .url -}}
{{- .url -}}
{{- else -}}
{{- $scheme := ternary "https" "http" (not (empty $.Values.admin.tls.existingSecret)) -}}
{{- printf "%s://%s-admin.%s.svc:%d" $scheme (include "stagedoor.fullname" $) $.Release.Namespace (int $.Values.admin.service.port) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the authority of the admin API's certificate; nothing without TLS. */}}
{{- define "stagedoor.operatorAuthority" -}}
{{- $admin := .Values.operator.admin -}}
{{- if hasPrefix "https:" (include "stagedoor.operatorUrl" .) }}{{ default (ternary "" .Values.admin.tls.existingSecret (not (empty $admin.url))) $admin.authoritySecret }}{{ end -}}
{{- end -}}

{{/* The installation's name in this cluster: at most 63 characters, of long names a part and a checksum. */}}
{{- define "stagedoor.installation" -}}
{{- $own := printf "%s.%s" .Release.Namespace (include "stagedoor.fullname" .) -}}
{{- if gt (len $own) 63 }}{{ $own = printf "%s.%s" ($own | trunc 52 | trimAll "-.") (sha256sum $own | trunc 10) }}{{ end -}}
{{- default $own .Values.operator.installation -}}
{{- end -}}

{{- define "stagedoor.operatorCheck" -}}
{{- $admin := .Values.operator.admin -}}
{{- if not $admin.keySecret }}{{ fail "operator.admin.keySecret is not set: a Secret with the admin key of a platform operator, which `stagedoor admin-key create` makes" }}{{ end -}}
{{- if and (not $admin.url) (not .Values.admin.enabled) }}{{ fail "the operator needs the admin API: set admin.enabled, or operator.admin.url to another installation's" }}{{ end -}}
{{- $url := include "stagedoor.operatorUrl" . -}}
{{- if hasPrefix "https:" $url -}}
{{- if not (include "stagedoor.operatorAuthority" .) }}{{ fail (printf "operator.admin.authoritySecret is not set: what the certificate of %s is checked with" $url) }}{{ end -}}
{{- else -}}
{{- if not $admin.insecure }}{{ fail (printf "the operator's admin key would travel in the open to %s: set operator.admin.url to where TLS is ended, or operator.admin.insecure" $url) }}{{ end -}}
{{- if $admin.clientCertificateSecret }}{{ fail "operator.admin.clientCertificateSecret: client certificates are a part of TLS" }}{{ end -}}
{{- end -}}
{{- if and (not $admin.url) .Values.admin.tls.clientAuthoritySecret (not $admin.clientCertificateSecret) }}{{ fail "operator.admin.clientCertificateSecret is not set, and admin.tls.clientAuthoritySecret asks for a certificate" }}{{ end -}}
{{- end -}}
