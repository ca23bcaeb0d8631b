// The hardware that a job or an app can ask for. Data only: a new profile is one more entry here.

@export()
@description('A workload profile type of Azure Container Apps.')
type profileType =
  | 'Consumption'
  | 'Consumption-GPU-NC8as-T4'
  | 'Consumption-GPU-NC24-A100'
  | 'NC24-A100'
  | 'NC48-A100'
  | 'NC96-A100'

@export()
@description('What one workload profile gives to a container, and how the environment lists it.')
type hardwareType = {
  @description('The name under which the environment lists the profile. At most 15 characters.')
  name: string
  @description('Virtual CPUs of a container that asks for all there is.')
  cpu: string
  @description('Memory of a container that asks for all there is.')
  memory: string
  @description('Whether the environment keeps nodes of its own, and so bounds their number.')
  isDedicated: bool
}

@export()
@description('Every workload profile type with what it gives. On "Consumption" 2 cores are half of the most.')
var hardware = {
  Consumption: { name: 'Consumption', cpu: '2', memory: '4Gi', isDedicated: false }
  'Consumption-GPU-NC8as-T4': { name: 'GPU-T4', cpu: '8', memory: '56Gi', isDedicated: false }
  'Consumption-GPU-NC24-A100': { name: 'GPU-A100', cpu: '24', memory: '220Gi', isDedicated: false }
  'NC24-A100': { name: 'NC24-A100', cpu: '24', memory: '220Gi', isDedicated: true }
  'NC48-A100': { name: 'NC48-A100', cpu: '48', memory: '440Gi', isDedicated: true }
  'NC96-A100': { name: 'NC96-A100', cpu: '96', memory: '880Gi', isDedicated: true }
}
