// Fine-tuning: a Container Apps job that is started by hand, and the file share it works on.
// A parameter left null takes its default. Deployed again, it changes only what differs.

import { hardware, profileType } from 'modules/hardware.bicep'

targetScope = 'resourceGroup'

@description('Optional. Commands of a run, in order; the first that fails ends it. Written to infra/finetuning.config.json as COMMANDS.')
param defaultCommands string[]?

@description('Optional. The most nodes of a dedicated workload profile; it decides the GPU quota you need. Default 1.')
@minValue(1)
param maximumInstanceCount int?

@description('Optional. Seconds after which an execution is stopped. Default 10800, three hours.')
@minValue(60)
param timeout int?

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

@description('Optional. Name of the fine-tuning job, made when it is missing.')
@minLength(2)
@maxLength(32)
param acaJobName string?

@description('Optional. Name of the Log Analytics workspace, made when it is missing.')
@minLength(4)
@maxLength(63)
param acaLogAnalyticsName string?

@description('Optional. Container image of the job.')
param image string?

@description('Optional. Hardware of the job. Default "Consumption-GPU-NC8as-T4", one T4 without nodes of your own.')
param workloadProfileType profileType?

@description('Optional. Workload profile types that the environment has to keep beside this one. A deployment replaces the list of the environment, so name here what your inference app runs on.')
param otherWorkloadProfileTypes profileType[]?

@description('Optional. Virtual CPUs of the container, as text, such as "2" or "0.5". Default: all that the workload profile gives.')
param cpu string?

@description('Optional. Memory of the container, such as "4Gi". Default: all that the workload profile gives.')
param memory string?

var suffix = uniqueString(resourceGroup().id)
var region = location ?? resourceGroup().location
var profile = workloadProfileType ?? 'Consumption-GPU-NC8as-T4'
var commands = defaultCommands ?? [
  'cd "\${AZUREBOX_MOUNT:-/mount}"'
  'pip install -q -r finetuning/requirements.txt'
  'python3 finetuning/invoke_olive.py'
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

resource job 'Microsoft.App/jobs@2025-07-01' = {
  name: acaJobName ?? 'aiacajob${suffix}'
  location: region
  properties: {
    environmentId: workspace.outputs.environmentId
    workloadProfileName: hardware[profile].name
    configuration: {
      triggerType: 'Manual'
      // A failed run is looked at, not repeated: its checkpoints are kept and "resume" goes on.
      replicaRetryLimit: 0
      replicaTimeout: timeout ?? 10800
      manualTriggerConfig: { parallelism: 1, replicaCompletionCount: 1 }
    }
    template: {
      containers: [
        {
          name: 'finetuning'
          image: image ?? 'docker.io/pytorch/pytorch:2.13.0-cuda13.0-cudnn9-devel'
          command: ['/bin/bash', '-c']
          args: ['exec python3 "\${AZUREBOX_MOUNT:-/mount}/finetuning/launcher.py"']
          env: [{ name: 'TUNESMITH_COMMANDS', value: string(commands) }]
          resources: {
            cpu: json(cpu ?? hardware[profile].cpu)
            memory: memory ?? hardware[profile].memory
          }
          volumeMounts: [{ volumeName: 'workspace', mountPath: '/mount' }]
        }
      ]
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

@description('Name of the fine-tuning job.')
output ACA_JOB_NAME string = job.name

@description('Commands of a run, in order.')
output COMMANDS string[] = commands

@description('Name of the Log Analytics workspace.')
output LOG_ANALYTICS_NAME string = workspace.outputs.logAnalyticsName
