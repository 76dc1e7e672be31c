{{/* The pod of a process or a job. Takes top, kind, component, args, resources, own (secrets), account. */}}
{{- define "payments.pod" -}}
{{- $values := .top.Values -}}
{{- $role := has .kind (list "consume" "relay" "sweep" "webhooks") -}}
metadata:
  labels:
    {{- include "payments.labels" .top | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ .account }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if $role }}
  terminationGracePeriodSeconds: {{ include "payments.grace" .top }}
  {{- else }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $role $values.topologySpread }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "payments.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: {{ .kind }}
      image: {{ include "payments.image" .top | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        {{- include "payments.env" . | trim | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $role }}
      {{- with include "payments.ports" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- end }}
      {{- with include "payments.mounts" . | trim }}
      volumeMounts:
        {{- . | nindent 8 }}
      {{- end }}
  {{- with include "payments.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
Ports and probes. An outage of Kafka or PostgreSQL makes no process unready and kills none: /live asks only whether its own loops
turn. A start waits for nothing either, but many pods that start at once on a small node take their time.
*/}}
{{- define "payments.ports" -}}
{{- $values := .top.Values -}}
{{- if or (eq .kind "webhooks") $values.health.enabled $values.metrics.enabled }}
ports:
  {{- if eq .kind "webhooks" }}
  - {name: http, containerPort: {{ $values.webhooks.port }}}
  {{- end }}
  {{- if $values.health.enabled }}
  - {name: health, containerPort: {{ $values.health.port }}}
  {{- end }}
  {{- if $values.metrics.enabled }}
  - {name: metrics, containerPort: {{ $values.metrics.port }}}
  {{- end }}
{{- end }}
{{- if eq .kind "webhooks" }}
# Until every node knows that this pod goes, requests still come.
lifecycle:
  preStop:
    sleep: {seconds: 5}
{{- end }}
{{- if $values.health.enabled }}
startupProbe:
  httpGet: {path: /started, port: health}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /live, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /ready, port: health}
  periodSeconds: 5
  timeoutSeconds: 5
{{- else if eq .kind "webhooks" }}
readinessProbe:
  tcpSocket: {port: http}
  periodSeconds: 5
{{- end }}
{{- end -}}
