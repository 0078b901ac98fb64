{{- define "windlass.labels" -}}
app.kubernetes.io/name: windlass
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "windlass.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:windlass
{{- end }}

{{- define "windlass.operatorImage" -}}
{{ .Values.operator.image | default (printf "ghcr.io/windlass-dev/windlass:%s" .Chart.AppVersion) }}
{{- end }}

{{- define "windlass.agentImage" -}}
{{ .Values.agent.image | default (printf "ghcr.io/windlass-dev/windlass-agent:%s" .Chart.AppVersion) }}
{{- end }}

{{- define "windlass.probeImage" -}}
{{ .Values.probe.image | default (printf "ghcr.io/windlass-dev/windlass-probe:%s" .Chart.AppVersion) }}
{{- end }}
