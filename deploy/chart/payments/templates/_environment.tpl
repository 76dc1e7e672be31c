{{/*
What each kind of process is told. A relay and the jobs hold no key of the gateway, webhooks know no Kafka: names that match
are left out. A setting or a secret that a process does not get cannot leak from it.
*/}}
{{- define "payments.leftOut" -}}
{{- $outside := "STRIPE|GATEWAY|NOTIFIER|SMTP|CUSTOMER|INVENTORY_(URL|TOKEN)|INVENTORY$|WEBHOOK|RETURN_URL" -}}
{{- if eq . "relay" -}}^PAYMENTS_({{ $outside }})
{{- else if eq . "webhooks" -}}^PAYMENTS_(KAFKA|STRIPE_API|GATEWAY|NOTIFIER|SMTP|CUSTOMER|INVENTORY_(URL|TOKEN)|INVENTORY$)
{{- else if eq . "migrate" -}}^PAYMENTS_({{ $outside }}|KAFKA|SCHEMA_REGISTRY)
{{- else if eq . "topics" -}}^PAYMENTS_({{ $outside }}|DATABASE|SCHEMA_REGISTRY)
{{- else if eq . "schemas" -}}^PAYMENTS_({{ $outside }}|DATABASE|KAFKA)
{{- else -}}^PAYMENTS_STRIPE_WEBHOOK
{{- end -}}
{{- end -}}

{{/* Secrets of a process, as a map from setting to {name, key}: those of all, then its own. */}}
{{- define "payments.secrets" -}}
{{- $without := include "payments.leftOut" .kind -}}
{{- $found := dict -}}
{{- range $setting, $from := merge (dict) (.own | default dict) .top.Values.secrets -}}
{{- if and $from (not (regexMatch $without $setting)) -}}
{{- $_ := set $found $setting $from -}}
{{- end -}}
{{- end -}}
{{- if has .kind (list "consume" "relay" "sweep" "topics") -}}
{{- $login := include "payments.login" . | fromYaml -}}
{{- if $login.username -}}
{{- $_ := set $found "PAYMENTS_KAFKA_SASL_PASSWORD" (dict "name" $login.secret "key" $login.key) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* Who logs in to Kafka: as the values say, else as Strimzi's user of this kind. */}}
{{- define "payments.login" -}}
{{- $login := index .top.Values.kafka.logins .kind -}}
{{- $users := .top.Values.strimzi.users -}}
{{- if $login.username -}}
{{- toYaml $login -}}
{{- else if and $users.enabled (ne .kind "topics") -}}
{{- $name := printf "%s-%s" (include "payments.name" .top) .kind -}}
{{- toYaml (dict "username" $name "secret" $name "key" "password") -}}
{{- else -}}
{{- toYaml (dict "username" "") -}}
{{- end -}}
{{- end -}}

{{- define "payments.env" -}}
{{- $top := .top -}}
{{- $kafka := $top.Values.kafka -}}
{{- $without := include "payments.leftOut" .kind -}}
{{- range $name, $value := $top.Values.settings }}
{{- if not (regexMatch $without $name) }}
- {name: {{ $name }}, value: {{ include "payments.text" $value | quote }}}
{{- end }}
{{- end }}
{{- if has .kind (list "consume" "relay" "sweep" "topics") }}
- {name: PAYMENTS_KAFKA_BOOTSTRAP_SERVERS, value: {{ required "kafka.bootstrapServers is needed: host:port of the brokers" $kafka.bootstrapServers | quote }}}
- {name: PAYMENTS_KAFKA_SECURITY_PROTOCOL, value: {{ $kafka.securityProtocol }}}
{{- $login := include "payments.login" . | fromYaml }}
{{- if hasPrefix "SASL_" $kafka.securityProtocol }}
- {name: PAYMENTS_KAFKA_SASL_MECHANISM, value: {{ $kafka.saslMechanism }}}
{{- if not (has $kafka.saslMechanism (list "OAUTHBEARER" "AWS_MSK_IAM")) }}
- {name: PAYMENTS_KAFKA_SASL_USERNAME, value: {{ required (printf "kafka.logins.%s.username is needed with %s" .kind $kafka.securityProtocol) $login.username | quote }}}
{{- end }}
{{- end }}
{{- if $kafka.ca.secret }}
- {name: PAYMENTS_KAFKA_SSL_CAFILE, value: /etc/payments/kafka-ca/{{ $kafka.ca.key }}}
{{- end }}
{{- end }}
{{- range $setting, $from := include "payments.secrets" . | fromYaml }}
- {name: {{ $setting }}_FILE, value: /etc/payments/secrets/{{ $setting }}}
{{- end }}
{{- if has .kind (list "consume" "relay" "sweep" "webhooks") }}
{{- if $top.Values.health.enabled }}
- {name: PAYMENTS_HEALTH_LISTEN, value: "0.0.0.0:{{ $top.Values.health.port }}"}
{{- end }}
{{- if $top.Values.metrics.enabled }}
- {name: PAYMENTS_METRICS_LISTEN, value: "0.0.0.0:{{ $top.Values.metrics.port }}"}
{{- end }}
{{- end }}
{{- if eq .kind "webhooks" }}
- {name: PAYMENTS_WEBHOOKS_LISTEN, value: "0.0.0.0:{{ $top.Values.webhooks.port }}"}
{{- end }}
{{- end -}}

{{- define "payments.mounts" -}}
{{- range $setting, $from := include "payments.secrets" . | fromYaml }}
- {name: secrets, mountPath: /etc/payments/secrets, readOnly: true}
{{- break }}
{{- end }}
{{- if and .top.Values.kafka.ca.secret (has .kind (list "consume" "relay" "sweep" "topics")) }}
- {name: kafka-ca, mountPath: /etc/payments/kafka-ca, readOnly: true}
{{- end }}
{{- with .top.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A directory, never subPath: so a renewed secret reaches the container. */}}
{{- define "payments.volumes" -}}
{{- $secrets := include "payments.secrets" . | fromYaml -}}
{{- if $secrets }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
    {{- range $setting, $from := $secrets }}
      - secret:
          name: {{ required (printf "the secret of %s needs a name" $setting) $from.name }}
          items: [{key: {{ $from.key }}, path: {{ $setting }}}]
    {{- end }}
{{- end }}
{{- if and .top.Values.kafka.ca.secret (has .kind (list "consume" "relay" "sweep" "topics")) }}
- name: kafka-ca
  secret:
    secretName: {{ .top.Values.kafka.ca.secret }}
    defaultMode: 0440
    items: [{key: {{ .top.Values.kafka.ca.key }}, path: {{ .top.Values.kafka.ca.key }}}]
{{- end }}
{{- with .top.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Helm reads 2000000 as a float, which it would print as 2e+06. */}}
{{- define "payments.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}
