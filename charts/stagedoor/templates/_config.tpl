{{/* The configuration file: what values say, and what the chart knows better. */}}

{{- define "stagedoor.config" -}}
{{- $set := dict "server" (dict "listen" "0.0.0.0:8080") "ops" (dict "listen" "0.0.0.0:9090") -}}
{{- $encryption := dict "api_key_pepper_directory" "/etc/stagedoor/pepper" -}}
{{- if include "stagedoor.secret" (dict "root" . "of" "keyEncryption") }}{{ $_ := set $encryption "key_directory" "/etc/stagedoor/keys" }}{{ end -}}
{{- if .Values.secrets.passphrase.existingSecret }}{{ $_ := set $encryption "passphrase_directory" "/etc/stagedoor/passphrases" }}{{ end -}}
{{- if include "stagedoor.vaultToken" . }}{{ $_ := set $encryption "transit" (dict "kubernetes" (dict "token_file" "/var/run/secrets/stagedoor/token")) }}{{ end -}}
{{- $_ := set $set "encryption" $encryption -}}
{{- $all := mustMergeOverwrite (deepCopy .Values.config) $set -}}
{{- /* As JSON, which is YAML too: toYaml would write 1073741824 as 1.073741824e+09. */ -}}
{{- range $section := keys $all | sortAlpha }}
{{- $keys := get $all $section }}
{{- if $keys }}
{{ $section }}:
{{- range $key := keys $keys | sortAlpha }}
  {{ $key }}: {{ toRawJson (get $keys $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether pods log in to Vault by a token of their service account; "true" or nothing. */}}
{{- define "stagedoor.vaultToken" -}}
{{- if dig "encryption" "transit" "kubernetes" "" .Values.config }}{{ if not (dig "encryption" "transit" "kubernetes" "token_file" "" .Values.config) }}true{{ end }}{{ end -}}
{{- end -}}

{{- define "stagedoor.configChecksum" -}}
checksum/config: {{ include "stagedoor.config" . | sha256sum }}
{{- end -}}
