{{/* A Deployment of `stagedoor serve`: of the public port, or of operators'. Takes (dict "root" $ "component" NAME
     "values" SECTION). */}}
{{- define "stagedoor.server" -}}
{{- $root := .root -}}
{{- $own := .values -}}
{{- $gateway := eq .component "gateway" -}}
{{- $redis := include "stagedoor.secret" (dict "root" $root "of" "redis") -}}
{{- $databases := list "app" -}}
{{- if include "stagedoor.servesAdmin" . }}{{ $databases = append $databases "admin" }}{{ end -}}
{{- $needs := dict "root" $root "component" .component "databases" $databases "redis" true "config" true -}}
{{- $server := $root.Values.config.server -}}
{{- $sleep := ternary (int $root.Values.gateway.preStopSleepSeconds) 0 $gateway -}}
{{- $grace := divf (dig "drain_grace_ms" 5000 $server) 1000 | ceil | int -}}
{{- $finish := divf (dig "drain_finish_ms" 20000 $server) 1000 | ceil | int -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "stagedoor.fullname" $root }}{{ ternary "" (printf "-%s" .component) $gateway }}
  labels: {{- include "stagedoor.labels" . | nindent 4 }}
  {{- if $gateway }}
  {{- with $own.deploymentAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
spec:
  {{- if not (and $gateway $own.autoscaling.enabled) }}
  replicas: {{ $own.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: 5
  {{- if $redis }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  {{- else }}
  # Without Redis there may be one replica only, during an upgrade too.
  strategy:
    type: Recreate
  {{- end }}
  selector:
    matchLabels: {{- include "stagedoor.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "stagedoor.labels" . | nindent 8 }}
        stagedoor.dev/ops: "true"
        {{- with $own.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        {{- include "stagedoor.configChecksum" $root | nindent 8 }}
        {{- with $own.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "stagedoor.fullname" $root }}-{{ .component }}
      automountServiceAccountToken: false
      # Drain, running calls, then the flushes, which take 30 s at the worst.
      terminationGracePeriodSeconds: {{ add $sleep $grace $finish 35 }}
      {{- include "stagedoor.podSecurity" $root | nindent 6 }}
      {{- include "stagedoor.scheduling" $own | nindent 6 }}
      {{- if $gateway }}
      {{- with include "stagedoor.spread" (dict "root" $root "component" "gateway" "over" $own.topologySpread) }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- end }}
      containers:
        - name: stagedoor
          image: {{ include "stagedoor.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [/usr/local/bin/stagedoor, serve]
          {{- include "stagedoor.env" (merge (dict "extra" $own.extraEnv) $needs) | nindent 10 }}
          ports:
            {{- if $gateway }}
            - {name: http, containerPort: 8080}
            {{- end }}
            - {name: ops, containerPort: 9090}
            {{- if include "stagedoor.servesAdmin" . }}
            - {name: admin, containerPort: 9443}
            {{- end }}
          startupProbe:
            httpGet: {path: /startupz, port: ops}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          livenessProbe:
            httpGet: {path: /livez, port: ops}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- if $sleep }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ $sleep }}}
          {{- end }}
          resources: {{- toYaml $own.resources | nindent 12 }}
          {{- include "stagedoor.containerSecurity" $root | nindent 10 }}
          {{- include "stagedoor.mounts" (merge (dict "extra" $own.extraVolumeMounts) $needs) | nindent 10 }}
      {{- include "stagedoor.volumes" (merge (dict "extra" $own.extraVolumes) $needs) | nindent 6 }}
{{- end -}}
