# ./run.sh configs/qvhighlights/umt_base_finetune_200e_qvhighlights.py \
#   --checkpoint work_dirs/umt_base_pretrain_100e_asr/best.pth
# Fine-tuning of the weights that umt_base_pretrain_100e_asr.py pretrained.
_base_ = "umt_base_200e_qvhighlights.py"
