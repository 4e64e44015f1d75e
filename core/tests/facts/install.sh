#!/usr/bin/env bash
# An install script in the shape of Kube-OVN's, with what its releases of 1.8 to 1.16 do.
set -euo pipefail

REGISTRY="docker.io/kubeovn"
VERSION="v1.15.24"
ENABLE_SSL=${ENABLE_SSL:-false}
ENABLE_VLAN=${ENABLE_VLAN:-false}
ENABLE_LB=${ENABLE_LB:-true}
ENABLE_NP=${ENABLE_NP:-true}
ENABLE_LB_SVC=${ENABLE_LB_SVC:-false}
CNI_CONFIG_PRIORITY=${CNI_CONFIG_PRIORITY:-01}
ENABLE_IC=${ENABLE_IC:-$(kubectl get node --show-labels | grep -qw "example.com/ic" && echo true || echo false)}
# nothing: the interface of the default route
IFACE=${IFACE:-}
SINGLE=${SINGLE:-false}
SERVICE_TYPE=${SERVICE_TYPE:-ClusterIP}
TRAFFIC_POLICY=${TRAFFIC_POLICY:-}
CNI_CONF_DIR="/etc/cni/net.d"
POD_CIDR="10.16.0.0/16"                     # not that of the nodes
NETWORK_TYPE="geneve"                       # or vlan
VLAN_NAME=""

function central_env {
  cat <<EOF
            - name: ENABLE_SSL
              value: "$ENABLE_SSL"
            - name: MODE
              value: "a 'quoted' one"
EOF
}

if [ "$ENABLE_VLAN" = "true" ]; then
  NETWORK_TYPE="vlan"
  if [ "$IFACE" != "" ]; then
    VLAN_NAME="$IFACE"
  fi
fi

HYBRID="false"
SUPPORTED=("19.11")

display_help() {
    echo "Usage: $0 [option...]"
    echo "  --with-hybrid  (experimental)"
    exit 0
}

if [ -n "${1-}" ]
then
  while :; do
    case $1 in
      -h|--help)
        display_help
      ;;
      --with-hybrid)
        HYBRID="true"
        ENABLE_LB="false"
      ;;
      --cpu=*)
        CPU="${1#*=}"
        if [[ $CPU =~ ^[0-9]+(m)$ ]]
        then
           echo "CPU $CPU"
        else
           exit 1
        fi
      ;;
      -?*)
        echo "Unknown argument $1"
        exit 1
      ;;
      *) break
    esac
    shift
  done
fi

if [[ $ENABLE_SSL = "true" ]];then
  exist=$(kubectl get secret -n kube-system kube-ovn-tls --ignore-not-found)
  if [[ $exist == "" ]];then
    docker run --rm -v "$PWD":/etc/ovn $REGISTRY/kube-ovn:$VERSION bash generate-ssl.sh
  fi
fi

count=$(kubectl get no -lexample.com/control-plane --no-headers | wc -l)
if [ "${count}" -eq 0 ]; then
  echo "ERROR: no such node"
  exit 1
fi
kubectl label no -lexample.com/control-plane kube-ovn/role=master --overwrite
addresses=$(kubectl get no -lkube-ovn/role=master --no-headers -o wide | awk '{print $6}' | tr \\n ',' | sed 's/,$//')

if kubectl get deployment -n kube-system ovn-central >/dev/null 2>&1; then
  path=$(kubectl get deployment -n kube-system ovn-central \
    -o jsonpath='{.spec.template.spec.volumes[?(@.name=="host-config-ovn")].hostPath.path}' 2>/dev/null)
  if [ "$SINGLE" = "true" ] && [ -n "$path" ]; then
    exit 1
  fi
fi

if [ "$SINGLE" = "true" ]; then
  STRATEGY="    type: Recreate"
  CLAIM="---
kind: PersistentVolumeClaim
apiVersion: v1
metadata:
  name: ovn-central-data"
else
  STRATEGY="    rollingUpdate:
      maxSurge: 0
    type: RollingUpdate"
  CLAIM=""
fi
POLICY=""
if { [ "$SERVICE_TYPE" = "LoadBalancer" ] || [ "$SERVICE_TYPE" = "NodePort" ]; } && [ -n "$TRAFFIC_POLICY" ]; then
  POLICY="  externalTrafficPolicy: $TRAFFIC_POLICY"
fi

cat <<'EOF' > kube-ovn-crd.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: subnets.kubeovn.io
spec:
  pattern: ^$|^[a-z]$(not a command)
EOF
kubectl apply -f kube-ovn-crd.yaml

cat <<EOF > ovn.yaml
${CLAIM}
---
kind: Service
apiVersion: v1
metadata:
  name: ovn-nb
  namespace: kube-system
spec:
  type: ${SERVICE_TYPE}
${POLICY}
---
kind: Deployment
apiVersion: apps/v1
metadata:
  name: ovn-central
  namespace: kube-system
spec:
  replicas: $count
  strategy:
${STRATEGY}
  template:
    spec:
      containers:
        - name: ovn-central
          image: "$REGISTRY/kube-ovn:$VERSION"
          command: ["/kube-ovn/start-db.sh"]
          env:
$(central_env)
            - name: NODE_IPS
              value: $addresses
EOF
kubectl apply -f ovn.yaml

if $HYBRID; then
cat <<EOF > dpdk.yaml
kind: DaemonSet
apiVersion: apps/v1
metadata:
  name: kube-ovn-cni
  namespace: kube-system
EOF
kubectl apply -f dpdk.yaml
fi
kubectl rollout status deployment/ovn-central -n kube-system --timeout 300s

cat <<EOF > kube-ovn.yaml
kind: Deployment
apiVersion: apps/v1
metadata:
  name: kube-ovn-controller
  namespace: kube-system
spec:
  replicas: $count
  template:
    spec:
      containers:
        - name: kube-ovn-controller
          image: "$REGISTRY/kube-ovn:$VERSION"
          args:
          - /kube-ovn/start-controller.sh
          - --default-cidr=$POD_CIDR
          - --network-type=$NETWORK_TYPE
          - --default-interface-name=$VLAN_NAME
          - --enable-lb=$ENABLE_LB
          - --enable-np=$ENABLE_NP
          - --enable-lb-svc=$ENABLE_LB_SVC
          env:
            - name: OVN_DB_IPS
              value: $addresses
---
kind: DaemonSet
apiVersion: apps/v1
metadata:
  name: kube-ovn-cni
  namespace: kube-system
spec:
  template:
    spec:
      serviceAccountName: kube-ovn-cni
      initContainers:
        - name: install-cni
          image: "$REGISTRY/kube-ovn:$VERSION"
          command:
            - /kube-ovn/install-cni.sh
            - --cni-conf-name=${CNI_CONFIG_PRIORITY}-kube-ovn.conflist
          volumeMounts:
            - mountPath: /etc/cni/net.d
              name: cni-conf
      containers:
        - name: cni-server
          image: "$REGISTRY/kube-ovn:$VERSION"
          command:
            - bash
            - /kube-ovn/start-cniserver.sh
          args:
            - --iface=${IFACE}
            - --network-type=$NETWORK_TYPE
            - --log_file=/var/log/\$(POD).log
      volumes:
        - name: cni-conf
          hostPath:
            path: $CNI_CONF_DIR
EOF
kubectl apply -f kube-ovn.yaml
kubectl rollout status deployment/kube-ovn-controller -n kube-system --timeout 300s

if $ENABLE_IC; then
cat <<EOF > ic.yaml
kind: Deployment
apiVersion: apps/v1
metadata:
  name: ovn-ic-controller
  namespace: kube-system
spec:
  template:
    spec:
      containers:
        - name: ovn-ic-controller
          image: "$REGISTRY/kube-ovn:$VERSION"
          command: ["/kube-ovn/start-ic-controller.sh"]
EOF
kubectl apply -f ic.yaml
fi

for ns in $(kubectl get ns --no-headers -o custom-columns=NAME:.metadata.name); do
  for pod in $(kubectl get pod --no-headers -n "$ns" -o custom-columns=NAME:.metadata.name,HOST:spec.hostNetwork | awk '{if ($2!="true") print $1}'); do
    kubectl delete pod "$pod" -n "$ns" --ignore-not-found
  done
done
while true; do
  pods=(`kubectl get pod -n kube-system -l app=kube-ovn-pinger --template '{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}'`)
  if [ ${#pods[@]} -eq 0 ]; then
    break
  fi
  sleep 1
done

cat <<\EOF > /usr/local/bin/kubectl-ko
kubectl scale deployment -n kube-system ovn-central --replicas=0
EOF

if ! sh -c "echo \":$PATH:\" | grep -q \":/usr/local/bin:\""; then
  export PATH=/usr/local/bin:$PATH
fi
echo "
     ,,,,(it's done)
"
