{{/* The release's name; every object begins with it. */}}
{{- define "payments.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "payments.labels" -}}
app.kubernetes.io/name: payments
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "payments.selector" -}}
app.kubernetes.io/name: payments
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "payments.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{- define "payments.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "payments.name" .) -}}
{{- end -}}

{{/* Kafka's name of a topic as a name of Kubernetes: PaymentFailed.dlt is payment-failed-dlt. */}}
{{- define "payments.kebab" -}}
{{- regexReplaceAll "[^a-z0-9]+" (kebabcase .) "-" | trimAll "-" -}}
{{- end -}}

{{- define "payments.prefix" -}}
{{- index .Values.settings "PAYMENTS_TOPIC_PREFIX" | default "" -}}
{{- end -}}

{{/* Above the time in which a process finishes what is under way, with some for the start of the shutdown and its end. */}}
{{- define "payments.grace" -}}
{{- $drain := index .Values.settings "PAYMENTS_DRAIN_TIMEOUT_S" | default 20 -}}
{{- $least := add (ceil (float64 $drain)) 20 -}}
{{- if .Values.terminationGraceSeconds -}}
{{- if lt (int64 .Values.terminationGraceSeconds) $least -}}
{{- fail (printf "terminationGraceSeconds must be %d at least: PAYMENTS_DRAIN_TIMEOUT_S and 20 s" $least) -}}
{{- end -}}
{{- int64 .Values.terminationGraceSeconds -}}
{{- else -}}
{{- $least -}}
{{- end -}}
{{- end -}}
