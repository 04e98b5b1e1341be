{{/* One rule of egress: (dict "to" PEERS "ports" PORTS "protocols" LIST). Without peers, to everyone. */}}
{{- define "stagedoor.rule" -}}
{{- $protocols := default (list "TCP") .protocols -}}
- ports:
    {{- range $port := .ports }}
    {{- range $protocols }}
    - {protocol: {{ . }}, port: {{ $port }}}
    {{- end }}
    {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Rules of egress by name: (dict "root" $ "to" (list NAME …)). */}}
{{- define "stagedoor.egress" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- range .to }}
{{- if eq . "dns" }}
{{ include "stagedoor.rule" (dict "to" $policy.dns.to "ports" (list 53) "protocols" (list "UDP" "TCP")) }}
{{- else if eq . "extra" }}
{{- with $policy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- else }}
{{- $one := get $policy . }}
{{ include "stagedoor.rule" (dict "to" $one.to "ports" $one.ports) }}
{{- end }}
{{- end }}
{{- end -}}
