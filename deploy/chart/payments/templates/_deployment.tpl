{{/* A Deployment and its disruption budget. Takes what a pod takes, and replicas. */}}
{{- define "payments.deployment" -}}
{{- $name := printf "%s-%s" (include "payments.name" .top) .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "payments.labels" .top | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not .scaled }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # One more, then one less: each change of a group's members shares out its partitions anew.
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "payments.selector" . | nindent 6 }}
  template:
    {{- include "payments.pod" . | nindent 4 }}
{{- if and .top.Values.podDisruptionBudget.enabled (gt (int .replicas) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels:
    {{- include "payments.labels" .top | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "payments.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
