// Inference: a Container App that serves one run over an OpenAI-like API and a chat page.
// A parameter left null takes its default. Deployed again, it changes only what differs.

import { hardware, profileType } from 'modules/hardware.bicep'

targetScope = 'resourceGroup'

@description('Required. Key that callers of the API send as bearer token. Kept as a secret of the app.')
@secure()
@minLength(16)
param apiKey string

@description('Optional. The run to serve. Without one the app starts and waits.')
param runId string?

@description('Optional. Commands that set up and start the app, in order; the first that fails ends it.')
param defaultCommands string[]?

@description('Optional. The most replicas of the app, and nodes of a dedicated workload profile. Default 1.')
@minValue(1)
param maximumInstanceCount int?

@description('Optional. Azure region. Default: the region of the resource group.')
param location string?

@description('Optional. Name of the storage account, made when it is missing.')
@minLength(3)
@maxLength(24)
param storageAccountName string?

@description('Optional. Name of the file share, made when it is missing.')
@minLength(3)
@maxLength(63)
param fileShareName string?

@description('Optional. Name of the Container Apps environment, made when it is missing.')
param acaEnvironmentName string?

@description('Optional. Name under which the environment knows the file share.')
param acaEnvironmentStorageName string?

@description('Optional. Name of the inference app, made when it is missing.')
@minLength(2)
@maxLength(32)
param acaAppName string?

@description('Optional. Name of the Log Analytics workspace, made when it is missing.')
@minLength(4)
@maxLength(63)
param acaLogAnalyticsName string?

@description('Optional. Container image of the app.')
param image string?

@description('Optional. Hardware of the app. Default "Consumption-GPU-NC8as-T4", one T4 without nodes of your own.')
param workloadProfileType profileType?

@description('Optional. Workload profile types that the environment has to keep beside this one. A deployment replaces the list of the environment, so name here what your fine-tuning job runs on.')
param otherWorkloadProfileTypes profileType[]?

@description('Optional. Virtual CPUs of the container, as text, such as "2" or "0.5". Default: all that the workload profile gives.')
param cpu string?

@description('Optional. Memory of the container, such as "4Gi". Default: all that the workload profile gives.')
param memory string?

var suffix = uniqueString(resourceGroup().id)
var region = location ?? resourceGroup().location
var profile = workloadProfileType ?? 'Consumption-GPU-NC8as-T4'
var port = 7860
var commands = defaultCommands ?? [
  'cd "\${AZUREBOX_MOUNT:-/mount}"'
  'pip install -q -r inference/requirements.txt'
  'exec python3 inference/app.py --host "\${HOST:-0.0.0.0}" --port "\${PORT:-7860}"'
]

module workspace 'modules/workspace.bicep' = {
  name: 'tunesmith-workspace'
  params: {
    location: region
    storageAccountName: storageAccountName ?? 'aistorage${suffix}'
    fileShareName: fileShareName ?? 'aifileshare${suffix}'
    logAnalyticsName: acaLogAnalyticsName ?? 'ailog${suffix}'
    environmentName: acaEnvironmentName ?? 'aienv${suffix}'
    environmentStorageName: acaEnvironmentStorageName ?? 'aienvstorage${suffix}'
    workloadProfileTypes: union([profile], otherWorkloadProfileTypes ?? [])
    maximumInstanceCount: maximumInstanceCount ?? 1
  }
}

resource app 'Microsoft.App/containerApps@2025-07-01' = {
  name: acaAppName ?? 'aiacaapp${suffix}'
  location: region
  properties: {
    environmentId: workspace.outputs.environmentId
    workloadProfileName: hardware[profile].name
    configuration: {
      activeRevisionsMode: 'Single'
      secrets: [{ name: 'api-key', value: apiKey }]
      ingress: {
        external: true
        targetPort: port
        transport: 'auto'
        allowInsecure: false
      }
    }
    template: {
      containers: [
        {
          name: 'inference'
          image: image ?? 'docker.io/pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime'
          command: ['/bin/bash', '-c']
          args: [join(commands, ' && ')]
          env: [
            { name: 'TUNESMITH_API_KEY', secretRef: 'api-key' }
            { name: 'TUNESMITH_RUN_ID', value: runId ?? '' }
          ]
          resources: {
            cpu: json(cpu ?? hardware[profile].cpu)
            memory: memory ?? hardware[profile].memory
          }
          // The port opens once the packages are installed; /health is fine once the model is loaded.
          probes: [
            { type: 'Startup', tcpSocket: { port: port }, periodSeconds: 60, failureThreshold: 10 }
            { type: 'Liveness', tcpSocket: { port: port }, periodSeconds: 30 }
            { type: 'Readiness', httpGet: { port: port, path: '/health' }, periodSeconds: 10 }
          ]
          volumeMounts: [{ volumeName: 'workspace', mountPath: '/mount' }]
        }
      ]
      scale: {
        // Nobody asks, nothing is paid: the last replica goes after five quiet minutes.
        minReplicas: 0
        maxReplicas: maximumInstanceCount ?? 1
        cooldownPeriod: 300
      }
      volumes: [
        {
          name: 'workspace'
          storageType: 'AzureFile'
          storageName: workspace.outputs.environmentStorageName
        }
      ]
    }
  }
}

@description('Id of the subscription.')
output SUBSCRIPTION_ID string = subscription().subscriptionId

@description('Name of the resource group.')
output RESOURCE_GROUP_NAME string = resourceGroup().name

@description('Name of the storage account.')
output STORAGE_ACCOUNT_NAME string = workspace.outputs.storageAccountName

@description('Name of the file share that holds the project.')
output FILE_SHARE_NAME string = workspace.outputs.fileShareName

@description('Name of the inference app.')
output ACA_APP_NAME string = app.name

@description('Host name of the app, without a scheme.')
output ACA_APP_ENDPOINT string = app.properties.configuration.ingress.fqdn
