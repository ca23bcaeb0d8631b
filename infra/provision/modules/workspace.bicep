// What the fine-tuning job and the inference app share: the file share that holds the project,
// and the Container Apps environment that mounts it. Both templates deploy it with equal names,
// so the second one finds everything in place.

import { hardware, profileType } from 'hardware.bicep'

@description('Required. Azure region of every resource.')
param location string

@description('Required. Name of the storage account.')
@minLength(3)
@maxLength(24)
param storageAccountName string

@description('Required. Name of the file share that holds the project.')
@minLength(3)
@maxLength(63)
param fileShareName string

@description('Required. Name of the Log Analytics workspace.')
@minLength(4)
@maxLength(63)
param logAnalyticsName string

@description('Required. Name of the Container Apps environment.')
param environmentName string

@description('Required. Name under which the environment knows the file share.')
param environmentStorageName string

@description('Required. Workload profile types that the environment offers beside "Consumption".')
param workloadProfileTypes profileType[]

@description('Required. The most nodes of a dedicated workload profile. Serverless profiles have no such bound.')
@minValue(1)
param maximumInstanceCount int

resource storageAccount 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: storageAccountName
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    largeFileSharesState: 'Enabled'
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource fileService 'fileServices' = {
    name: 'default'
    properties: {
      shareDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource share 'shares' = {
      name: fileShareName
      properties: {
        enabledProtocols: 'SMB'
        shareQuota: 1024
      }
    }
  }
}

resource logAnalytics 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: logAnalyticsName
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
  }
}

resource environment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: environmentName
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logAnalytics.properties.customerId
        sharedKey: logAnalytics.listKeys().primarySharedKey
      }
    }
    workloadProfiles: map(
      union(['Consumption'], workloadProfileTypes),
      profile =>
        union(
          { name: hardware[profile].name, workloadProfileType: profile },
          hardware[profile].isDedicated
            ? { minimumCount: 0, maximumCount: maximumInstanceCount }
            : {}
        )
    )
  }

  // SMB has no other way in than the account's key; it stays inside this deployment.
  resource storage 'storages' = {
    name: environmentStorageName
    properties: {
      azureFile: {
        accountName: storageAccount.name
        accountKey: storageAccount.listKeys().keys[0].value
        shareName: storageAccount::fileService::share.name
        accessMode: 'ReadWrite'
      }
    }
  }
}

@description('Resource id of the Container Apps environment.')
output environmentId string = environment.id

@description('Name under which the environment knows the file share.')
output environmentStorageName string = environment::storage.name

@description('Name of the storage account.')
output storageAccountName string = storageAccount.name

@description('Name of the file share.')
output fileShareName string = storageAccount::fileService::share.name

@description('Name of the Log Analytics workspace.')
output logAnalyticsName string = logAnalytics.name
