# SPDX-License-Identifier: Apache-2.0
"""Architectures that releases of vLLM run: data, read from its `models/registry.py`.

Draft models of speculative decoding are left out, and so are the names of vLLM's own wrappers of
Transformers' classes. A test compares the newest with the vLLM that the server's tests install.
"""

from __future__ import annotations

_IN_BOTH = """
    AfmoeForCausalLM ApertusForCausalLM ArceeForCausalLM AriaForConditionalGeneration
    AudioFlamingo3ForConditionalGeneration AXK1ForCausalLM BagelForConditionalGeneration
    BailingMoeForCausalLM BailingMoeV2_5ForCausalLM BailingMoeV2ForCausalLM
    BeeForConditionalGeneration BertForSequenceClassification BertForTokenClassification
    BertModel BertSpladeSparseEmbeddingModel BgeM3EmbeddingModel Blip2ForConditionalGeneration
    BloomForCausalLM ChatGLMForConditionalGeneration ChatGLMModel CLIPModel Cohere2ForCausalLM
    Cohere2MoeForCausalLM Cohere2VisionForConditionalGeneration
    CohereAsrForConditionalGeneration CohereForCausalLM ColBERTJinaRobertaModel ColBERTLfm2Model
    ColBERTModernBertModel ColModernVBertForRetrieval ColPaliForRetrieval ColQwen3 ColQwen3_5
    Cosmos3ForConditionalGeneration CwmForCausalLM DbrxForCausalLM DeciLMForCausalLM
    DeepseekForCausalLM DeepseekOCR2ForCausalLM DeepseekOCRForCausalLM DeepseekV2ForCausalLM
    DeepseekV32ForCausalLM DeepseekV3ForCausalLM DeepseekV4ForCausalLM DeepseekVLV2ForCausalLM
    DiffusionGemmaForBlockDiffusion DotsOCRForCausalLM Eagle2_5_VLForConditionalGeneration
    Emu3ForConditionalGeneration Ernie4_5_MoeForCausalLM Ernie4_5_VLMoeForConditionalGeneration
    Ernie4_5ForCausalLM Exaone4_5_ForConditionalGeneration Exaone4ForCausalLM ExaoneForCausalLM
    ExaoneMoEForCausalLM FalconForCausalLM FalconH1ForCausalLM FalconMambaForCausalLM
    FireRedASR2ForConditionalGeneration FlexOlmoForCausalLM FunASRForConditionalGeneration
    FunAudioChatForConditionalGeneration Gemma2ForCausalLM Gemma2Model Gemma3ForCausalLM
    Gemma3ForConditionalGeneration Gemma3nForCausalLM Gemma3nForConditionalGeneration
    Gemma3TextModel Gemma4ForCausalLM Gemma4ForConditionalGeneration
    Gemma4UnifiedForConditionalGeneration GemmaForCausalLM Glm4ForCausalLM Glm4MoeForCausalLM
    Glm4MoeLiteForCausalLM GLM4VForCausalLM Glm4vForConditionalGeneration
    Glm4vMoeForConditionalGeneration GlmAsrForConditionalGeneration GlmForCausalLM
    GlmMoeDsaForCausalLM GlmOcrForConditionalGeneration GPT2ForSequenceClassification
    GPT2LMHeadModel GPTBigCodeForCausalLM GPTJForCausalLM GPTNeoXForCausalLM GptOssForCausalLM
    Granite4VisionForConditionalGeneration GraniteForCausalLM GraniteMoeForCausalLM
    GraniteMoeHybridForCausalLM GraniteMoeSharedForCausalLM
    GraniteSpeechForConditionalGeneration GraniteSpeechPlusForConditionalGeneration GteModel
    GteNewForSequenceClassification GteNewModel H2OVLChatModel HCXVisionV2ForCausalLM HF_ColBERT
    HfMoondream HrmTextForCausalLM HunYuanDenseV1ForCausalLM HunYuanMoEV1ForCausalLM
    HunYuanVLForConditionalGeneration HyperCLOVAXForCausalLM HYV3ForCausalLM
    Idefics3ForConditionalGeneration InternLM2ForCausalLM InternLM2ForRewardModel
    InternLM3ForCausalLM InternS1ForConditionalGeneration InternS1ProForConditionalGeneration
    InternS2PreviewForConditionalGeneration InternVLChatModel InternVLForConditionalGeneration
    IQuestCoderForCausalLM IQuestLoopCoderForCausalLM IsaacForConditionalGeneration
    Jais2ForCausalLM JambaForCausalLM JambaForSequenceClassification JinaEmbeddingsV5Model
    JinaForRanking JinaVLForRanking KananaVForConditionalGeneration KeyeForConditionalGeneration
    KeyeVL1_5ForConditionalGeneration KimiK25ForConditionalGeneration KimiLinearForCausalLM
    KimiVLForConditionalGeneration LagunaForCausalLM Lfm2ForCausalLM Lfm2MoeForCausalLM
    Lfm2VlForConditionalGeneration LightOnOCRForConditionalGeneration Llama4ForCausalLM
    Llama4ForConditionalGeneration Llama_Nemotron_Nano_VL
    LlamaBidirectionalForSequenceClassification LlamaBidirectionalModel LLaMAForCausalLM
    LlamaForCausalLM LlamaModel LlamaNemotronVLForSequenceClassification LlamaNemotronVLModel
    LlavaForConditionalGeneration LlavaNextForConditionalGeneration
    LlavaNextVideoForConditionalGeneration LlavaOnevision2ForConditionalGeneration
    LlavaOnevisionForConditionalGeneration LongcatFlashForCausalLM Mamba2ForCausalLM
    MambaForCausalLM MellumForCausalLM MiDashengLMModel MiMoForCausalLM MiMoV2FlashForCausalLM
    MiMoV2ForCausalLM MiMoV2OmniForCausalLM MiniCPM3ForCausalLM MiniCPMForCausalLM MiniCPMO
    MiniCPMV MiniCPMV4_6ForConditionalGeneration MiniMaxM2ForCausalLM MiniMaxM3SparseForCausalLM
    MiniMaxM3SparseForConditionalGeneration Ministral3ForCausalLM
    Mistral3ForConditionalGeneration MistralForCausalLM MistralLarge3ForCausalLM MistralModel
    MixtralForCausalLM ModernBertForSequenceClassification ModernBertForTokenClassification
    ModernBertModel Molmo2ForConditionalGeneration MolmoForCausalLM Moondream3ForCausalLM
    MoonshotKimiaForCausalLM MossAudioModel MossTranscribeDiarizeForConditionalGeneration
    NemotronForCausalLM NemotronH_Nano_Omni_Reasoning_V3 NemotronH_Nano_VL_V2
    NemotronH_Super_Omni_Reasoning_V3 NemotronHForCausalLM NemotronHPuzzleForCausalLM
    NemotronParseForConditionalGeneration NomicBertModel NVLM_D Olmo2ForCausalLM
    Olmo3ForCausalLM OlmoeForCausalLM OlmoForCausalLM OlmoHybridForCausalLM
    OpenAIPrivacyFilterForTokenClassification OpenCUAForConditionalGeneration
    OpenPanguVLForConditionalGeneration OpenVLAForActionPrediction OpsColQwen3Model
    OPTForCausalLM OrionForCausalLM Ovis Ovis2_5 Ovis2_6_MoeForCausalLM Ovis2_6ForCausalLM
    PaddleOCRVLForConditionalGeneration PaliGemmaForConditionalGeneration
    PanguEmbeddedForCausalLM PanguProMoEV2ForCausalLM PanguUltraMoEForCausalLM
    Param2MoEForCausalLM Phi3ForCausalLM Phi3VForCausalLM Phi4ForCausalLMV Phi4MMForCausalLM
    PhiForCausalLM PhiMoEForCausalLM PixtralForConditionalGeneration Plamo3ForCausalLM
    QianfanOCRForConditionalGeneration Qwen2_5_VLForConditionalGeneration
    Qwen2_5OmniForConditionalGeneration Qwen2_5OmniModel Qwen2AudioForConditionalGeneration
    Qwen2ForCausalLM Qwen2ForProcessRewardModel Qwen2ForRewardModel Qwen2Model
    Qwen2MoeForCausalLM Qwen2VLForConditionalGeneration Qwen3_5ForConditionalGeneration
    Qwen3_5MoeForConditionalGeneration Qwen3ASRForcedAlignerForTokenClassification
    Qwen3ASRForConditionalGeneration Qwen3ASRRealtimeGeneration Qwen3ForCausalLM
    Qwen3MoeForCausalLM Qwen3NextForCausalLM Qwen3OmniMoeForConditionalGeneration
    Qwen3VLForConditionalGeneration Qwen3VLMoeForConditionalGeneration Qwen3VLNemotronEmbedModel
    RForConditionalGeneration Rnj1ForCausalLM RobertaForMaskedLM
    RobertaForSequenceClassification RobertaModel SarvamMLAForCausalLM SarvamMoEForCausalLM
    SeedOssForCausalLM SiglipModel SkyworkR1VChatModel SmolLM3ForCausalLM
    SmolVLMForConditionalGeneration SolarForCausalLM StableLmForCausalLM Starcoder2ForCausalLM
    Step1ForCausalLM Step3p5ForCausalLM Step3p7ForConditionalGeneration Step3TextForCausalLM
    Step3VLForConditionalGeneration StepVLForConditionalGeneration TeleChat2ForCausalLM
    TeleChat3ForCausalLM TeleFLMForCausalLM Terratorch UltravoxModel UnlimitedOCRForCausalLM
    VoxtralForConditionalGeneration VoxtralRealtimeGeneration VoyageQwen3BidirectionalEmbedModel
    WhisperForConditionalGeneration XLMRobertaForSequenceClassification XLMRobertaModel
    Zamba2ForCausalLM
"""
_UNTIL_0_25 = """
    ArcticForCausalLM ChameleonForConditionalGeneration Cheers CheersForConditionalGeneration
    Fairseq2LlamaForCausalLM FireRedLIDForConditionalGeneration FuyuForCausalLM GritLM
    HCXVisionForCausalLM MptForCausalLM MPTForCausalLM OuroForCausalLM PersimmonForCausalLM
    Plamo2ForCausalLM PrithviGeoSpatialMAE RWForCausalLM StableLMEpochForCausalLM
    TeleChatForCausalLM
"""
_SINCE_0_32 = """
    BailingMoeV3ForCausalLM BailingMoeV3VLForConditionalGeneration BertForMaskedLM
    ClefOmniForJointSchema CohereCompassForConditionalGeneration
    Cosmos3EdgeForConditionalGeneration DeepseekV3BidirectionalModel DeepseekV41ForCausalLM
    DeepseekV4ForConditionalGeneration Dots3NoteForCausalLM EmbeddingGemma2Model
    ExaoneMoeForCausalLM Glm5NextForCausalLM Glm5NextForConditionalGeneration
    GraniteMoeSWAForCausalLM GraniteSWAForCausalLM HYV4ForCausalLM InklingForCausalLM
    InklingForConditionalGeneration InternS2MobiusForConditionalGeneration K2HorizonForCausalLM
    KimiK3ForConditionalGeneration LongcatFlashNgramForCausalLM
    MiniCPMV4_7ForConditionalGeneration MuseGlimmerForCausalLM
    MuseGlimmerForConditionalGeneration NanbeigeForCausalLM NemotronH_Omni_Reasoning_V3
    Qwen3_5ForCausalLM Qwen3_5MoeForCausalLM Qwen4ExpForCausalLM
    Qwen4ExpForConditionalGeneration RobertaForTokenClassification VaultGemmaForCausalLM
    VibeVoiceAsrForConditionalGeneration XLMRobertaForTokenClassification
"""
_SINCE_0_33 = """
    AliceAIForCausalLM Alpamayo2Super BeamForCausalLM ClefFlashForJointSchema
    ColUltraVBertForRetrieval D3ForSequenceClassification DomynEdgeForCausalLM DoryForCausalLM
    FlintForCausalLM Kolibri1ForCausalLM Lfm2BidirectionalModel
    MiniCPMOcrForConditionalGeneration ModernVBertModel MuseSparkForConditionalGeneration
    RadioMBartPrefixForCausalLM Step5ForCausalLM Step5ForConditionalGeneration
"""

# Release to `architectures` of config.json that it knows.
ARCHITECTURES: dict[str, frozenset[str]] = {
    "0.25.1": frozenset((_IN_BOTH + _UNTIL_0_25).split()),
    "0.32.0": frozenset((_IN_BOTH + _SINCE_0_32).split()),
    "0.33.0": frozenset((_IN_BOTH + _SINCE_0_32 + _SINCE_0_33).split()),
}
# By these endings vLLM makes an embedding model or a classifier of one that generates, and so on.
_ENDINGS = (
    "ForCausalLM", "ForConditionalGeneration", "ChatModel", "LMHeadModel", "ForTextEncoding",
    "EmbeddingModel", "ForSequenceClassification", "ForTokenClassification",
    "ForAudioClassification", "ForImageClassification", "ForVideoClassification",
    "ClassificationModel", "ForRewardModeling", "RewardModel", "Model",
)  # fmt: skip


def known(architecture: str, release: str) -> bool:
    """Whether a release runs an architecture by a class of its own.

    One that it lacks may still run through Transformers' class of that name. Of a release that is
    not in the table only what all others have is taken for known.
    """
    named = [ARCHITECTURES[release]] if release in ARCHITECTURES else [*ARCHITECTURES.values()]
    return all(_there(architecture, one) for one in named)


def _there(architecture: str, names: frozenset[str]) -> bool:
    ending = next((one for one in _ENDINGS if architecture.endswith(one)), "")
    stem = architecture.removesuffix(ending)
    return architecture in names or (
        bool(ending) and any(stem + other in names for other in _ENDINGS)
    )
