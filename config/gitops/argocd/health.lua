-- What Argo CD says of the kinds of Weir. Only what the operator wrote is read:
--   not seen yet, or seen before the newest change of the spec    Progressing
--   Stalled=True: somebody has to act                             Degraded
--   Ready=True                                                    Healthy, or Suspended as the spec asks
--   anything else goes on by itself                               Progressing, with the reason
-- A ScalingPolicy has no Ready: it is Degraded when it has no pipeline, or another policy has the same one. That it waits
-- for metrics or for pods is its daily work.
local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function says(health, condition)
  return { status = health, message = condition.reason .. ": " .. (condition.message or "") }
end

local summary = found.Ready or found.ScalingActive
if summary == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not judged the newest spec yet" }
end
if found.Stalled ~= nil and found.Stalled.status == "True" then
  return says("Degraded", found.Stalled)
end
if found.Ready == nil then
  local idle = summary.reason == "Suspended" or summary.reason == "TargetSuspended"
  local lost = summary.reason == "ConflictingPolicies" or summary.reason == "TargetNotFound"
  return says(idle and "Suspended" or lost and "Degraded" or "Healthy", summary)
end
if found.Ready.status ~= "True" then
  return says("Progressing", found.Ready)
end
if found.Ready.reason == "Suspended" then
  return says("Suspended", found.Ready)
end
return says("Healthy", found.Ready)
